"""The mechanisms of the square side by side: paired errors, costs, and where each one looks."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from attn_jax import viz
from attn_jax.data import Images
from attn_jax.errors import UserError, as_user_errors
from attn_jax.parts.digits import (
    Canvas,
    Digits,
    freeze,
    load_digits,
    measure_key,
    picture_key,
)
from attn_jax.parts.learner import Wiring
from attn_jax.parts.observe import choose_examples, observe
from attn_jax.parts.policies import make_measure, policies
from attn_jax.records import versions
from attn_jax.runs.load import LoadedRun, load
from attn_jax.studies.step_time import step_milliseconds
from attn_jax.studies.table_report import Report
from attn_jax.systems import prepare, square
from attn_jax.tasks import clustered

COMPOSITES = 10  # of each test digit
_FROZEN = 3  # what their clutter is frozen by; 0 to 2 are the run's own splits
_SHOWN = 3


class Cell(NamedTuple):
    """One mechanism under one policy.

    Attributes:
      mechanism, policy: its name, and "learned" or a control's.
      runs: folders of its finished runs, one a seed.
    """

    mechanism: str
    policy: str
    runs: Sequence[Path]


class CellResult(NamedTuple):
    """A cell on the frozen composites.

    Attributes:
      cell: which.
      loaded: its first run.
      wrong: [seeds, digits, composites], whether the answer is wrong.
      step_ms: of a training step, milliseconds.
    """

    cell: Cell
    loaded: LoadedRun
    wrong: np.ndarray
    step_ms: float

    @property
    def by_seed(self) -> np.ndarray:
        """[seeds], errors as fractions."""
        return self.wrong.mean((1, 2))

    @property
    def error(self) -> tuple[float, float, float]:
        """A fraction with its 95 % interval, over seeds, or over digits where there is one seed."""
        seeds = len(self.wrong)
        if seeds == 1:
            return clustered(self.wrong.mean(0))
        mean = float(self.by_seed.mean())
        half = float(t.ppf(0.975, seeds - 1) * self.by_seed.std(ddof=1) / np.sqrt(seeds))
        return mean, mean - half, mean + half


def compare(
    cells: Sequence[Cell], controls: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], bytes]:
    """Test finished runs on the same frozen composites.

    Args:
      cells: each mechanism learned, and under its controls, with the same seeds.
      controls: mechanism -> the policies that it is held against.

    Returns:
      Plain data, of which `paired_table` makes a table, and a PNG of where each mechanism looks.

    Raises:
      UserError: for a run that cannot be read, or whose data is not there any more.
    """
    composed = _composites(load(cells[0].runs[0]).settings.data)
    tested = [_test(cell, composed) for cell in cells]
    learned = [one for one in tested if one.cell.policy == "learned"]
    rows = [_row(one, tested, controls[one.cell.mechanism]) for one in learned]
    plain = {"composites": len(composed.labels), "rows": rows, **versions()}
    return plain, _picture(learned, composed)


def comparable(
    report: Report, rows: Collection[str], workdir: Path
) -> tuple[list[Cell], dict[str, list[str]]]:
    """The arguments of `compare`, of rows of a table all of whose runs are finished.

    Args:
      report: the table; its rows are mechanisms, its columns policies.
      rows: names of mechanisms.
      workdir: the folder of the runs.

    Returns:
      The cells, learned and controls, and mechanism -> its controls; ([], {}) if a run of them is
      not finished.
    """
    learned = [one for one in report.table.cells.values() if one.controls and one.row in rows]
    names = [name for one in learned for name in (one.name, *one.controls)]
    if any(len(report.cells[name].values) < len(report.seeds) for name in names):
        return [], {}
    entries = [report.table.cells[name] for name in names]
    cells = [
        Cell(one.row, one.column, [one.run(workdir, seed) for seed in report.seeds])
        for one in entries
    ]
    return cells, {one.row: [name.partition("/")[2] for name in one.controls] for one in learned}


def _composites(data: Digits) -> Images:
    """Every test digit among COMPOSITES clutters, frozen by the data's seed."""
    with as_user_errors():
        digits = load_digits(data)
    many = Images(*(np.repeat(part, COMPOSITES, 0) for part in digits.source.test))
    return freeze(digits, data.seed, many, _FROZEN)


def _test(cell: Cell, composed: Images) -> CellResult:
    runs, wrong = [load(run) for run in cell.runs], []
    for path, one in zip(cell.runs, runs, strict=True):
        if one.settings.data != runs[0].settings.data:
            raise UserError(f"{path} has other data than {cell.runs[0]}")
        wiring, evaluate = _wiring(one), one.settings.evaluate
        measure = make_measure(wiring, policies(wiring, evaluate)["mean"], evaluate.batch)
        key = measure_key(one.settings.data.seed, _FROZEN)
        found = measure(one.state.evaluated, *composed, key)
        wrong.append((found.given[:, -1] != found.labels).reshape(-1, COMPOSITES))
    milliseconds = step_milliseconds(*prepare(runs[0].config))
    return CellResult(cell, runs[0], np.stack(wrong), milliseconds)


def _wiring(loaded: LoadedRun) -> Wiring:
    return square.wire(loaded.settings, Canvas.of(loaded.facts))


def difference(one: CellResult, other: CellResult) -> tuple[float, float, float]:
    """other's error minus one's on the same images, with its 95 % interval over digits.

    Composites of a digit belong together, and so do the seeds that were averaged.
    """
    return clustered((other.wrong.astype(float) - one.wrong).mean(0))


def _row(one: CellResult, tested: Sequence[CellResult], controls: Sequence[str]) -> dict[str, Any]:
    beside = {
        other.cell.policy: {
            "error": list(other.error),
            "by_seed": other.by_seed.tolist(),
            "difference": list(difference(one, other)),
            "step_ms": other.step_ms,
        }
        for policy in controls
        for other in tested
        if (other.cell.mechanism, other.cell.policy) == (one.cell.mechanism, policy)
    }
    return {
        "mechanism": one.cell.mechanism,
        "error": list(one.error),
        "by_seed": one.by_seed.tolist(),
        "parameters": one.loaded.state.size,
        "step_ms": one.step_ms,
        "batch": one.loaded.settings.train.batch,
        **_reading(one.loaded),
        "controls": beside,
    }


def _reading(loaded: LoadedRun) -> dict[str, int]:
    """How many places of the map a step reads, at most, and how many numbers it passes on."""
    mechanism, model = loaded.settings.mechanism, loaded.settings.model
    attention = _wiring(loaded).attention
    height, width = model.map_size(Canvas.of(loaded.facts).canvas)
    places, features = height * width, model.encoder[-1]
    if attention.read.takes != "weights":  # between places, which are read two by two
        samples = mechanism.size**2
        at_point = attention.read.takes == "point"
        seen = (mechanism.size + 1) ** 2 if at_point else 4 * samples
        return {"places": min(seen, places), "of": places, "passed_on": samples * features}
    one_hot = attention.final.gives == "one_hot"
    passed = features if mechanism.read == "weighted_sum" else places * features
    return {"places": 1 if one_hot else places, "of": places, "passed_on": passed}


def paired_table(plain: Mapping[str, Any]) -> tuple[str, viz.Table]:
    """The findings of `compare` for a reader: a note, and a table with errors in percent."""
    rows, count = plain["rows"], plain["composites"]
    seeds = len(rows[0]["by_seed"])
    header = (
        "mechanism", "error %", "control", "its error %", "difference [95 %]", "parameters",
        f"ms a step of {rows[0]['batch']}", f"places read of {rows[0]['of']}", "numbers passed on",
    )  # fmt: skip
    lines: list[list[str]] = []
    for row in rows:
        costs = [
            f"{row['parameters']:,}", f"{row['step_ms']:.1f}", str(row["places"]),
            f"{row['passed_on']:,}",
        ]  # fmt: skip
        for i, (name, control) in enumerate(row["controls"].items()):
            own = [row["mechanism"], _interval(row["error"])] if i == 0 else ["", ""]
            compared = [name, _interval(control["error"]), _interval(control["difference"], "+")]
            lines.append([*own, *compared, *(costs if i == 0 else [""] * len(costs))])
    over = f"{seeds} seeds" if seeds > 1 else "digits, one seed"
    note = (
        f"Errors at the policy's mean on {count:,} frozen composites of "
        f"{count // COMPOSITES:,} test digits; intervals of errors over {over}; differences are "
        f"paired, control minus mechanism, their intervals over digits."
    )
    return note, viz.Table(header, lines, "Paired by image.")


def _interval(values: Sequence[float], sign: str = "") -> str:
    mean, low, high = (100 * value for value in values)
    return f"{mean:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _picture(learned: Sequence[CellResult], composed: Images) -> bytes:
    """Where each looks on the same composites, at its mean."""
    chosen = choose_examples(composed.labels)[:: 8 // _SHOWN][:_SHOWN]
    images, labels = composed.images[chosen], composed.labels[chosen]
    strips = []
    for one in learned:
        settings = one.loaded.settings
        key = picture_key(settings.data.seed)
        observations = observe(_wiring(one.loaded), one.loaded.state.evaluated, images, key)
        kind, where, patch = square.on_map(settings, observations)
        name = one.cell.mechanism.replace("_", " ")
        strips.append(viz.Strip(name, kind, where, patch, observations.answers))
    shown = np.asarray(images, np.float32) / 255
    classes = Canvas.of(learned[0].loaded.facts).classes
    return viz.to_png(viz.side_by_side(shown, strips, labels, classes))
