"""The laboratory's table and plot, from measuring to Markdown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from attn_jax import viz
from attn_jax.errors import as_user_errors, check_installed
from attn_jax.laboratory import PROBLEMS, Candidate, Measurement, candidates, measure
from attn_jax.records import versions, write_atomically
from attn_jax.runs.load import load
from attn_jax.studies.variance import GradientVariance, location_variance, ratio

_DRAWN = "5 items, twice"
_HEADER = (
    "estimator", "baseline", "M", "bias", "variance", "variance x M", "µs", "variance x µs", "",
)  # fmt: skip
Entry = tuple[str, Candidate, Measurement]


def run(
    workdir: Path, ram: str | None, seed: int, tolerance: float, say: Callable[[str], Any]
) -> Path:
    """Measure every row of every problem; write estimators.{md,json,png} into workdir.

    Args:
      workdir: made if it is not there.
      ram: the folder of a run whose location gradient is measured as well; None: none.
      seed: of the estimates.
      tolerance: half-width of the bias's interval, of the exact gradient's norm.
      say: called with each line of progress.

    Returns:
      The path of the table.

    Raises:
      UserError: if the run is not there, or its choices are not credited.
    """
    # What can be refused comes before the minutes that the table takes.
    with as_user_errors():
        check_installed("matplotlib")
    varied = location_variance(load(ram)) if ram else []
    workdir.mkdir(parents=True, exist_ok=True)
    cells = [cell for name in PROBLEMS for cell in _measured(name, seed, tolerance, say)]
    text = _markdown(cells, varied, tolerance)
    write_atomically(workdir / "estimators.json", json.dumps(_plain(cells, varied), indent=1))
    write_atomically(workdir / "estimators.png", _plot(cells))
    write_atomically(workdir / "estimators.md", text)
    say(text)
    return workdir / "estimators.md"


def _measured(name: str, seed: int, tolerance: float, say: Callable[[str], Any]) -> list[Entry]:
    problem, cells = PROBLEMS[name](), []
    for i, row in enumerate(candidates(problem)):
        key = jax.random.fold_in(jax.random.key(seed), i)
        measured = measure(row.estimate, problem.exact, key, tolerance=tolerance)
        cells.append((name, row, measured))
        say(f"{name}: {_label(row)}: bias {_bias(measured)}, variance {measured.variance:.3g}")
    return cells


def _label(row: Candidate) -> str:
    compared = "" if row.baseline == "-" else f", {row.baseline}"
    return f"{row.estimator}{compared}, M = {row.rollouts}"


def _bias(measured: Measurement) -> str:
    return f"{100 * measured.bias:.1f} ± {100 * measured.half_width:.1f} %"


def _markdown(cells: list[Entry], varied: list[GradientVariance], tolerance: float) -> str:
    lines = []
    for name in dict.fromkeys(name for name, _, _ in cells):
        lines += [f"\n### {name}\n", _row(_HEADER), _row(["---"] * len(_HEADER))]
        for of, row, m in cells:
            if of == name:
                verdict = "unbiased" if m.unbiased else "**biased**"
                if m.unbiased and m.half_width > tolerance:
                    verdict = "undecided"
                verdict += "" if m.unbiased == row.unbiased else " (!)"
                numbers = (m.variance, m.variance * row.rollouts, m.microseconds)
                shown = [f"{x:.3g}" for x in (*numbers, m.variance * m.microseconds)]
                if not m.variance:  # without noise one estimate serves the whole batch
                    shown[2:] = "-", "-"
                lines.append(
                    _row(
                        [row.estimator, row.baseline, str(row.rollouts), _bias(m), *shown, verdict]
                    )
                )
    return "\n".join([*lines, *_of_run(varied)]) + "\n"


def _of_run(varied: list[GradientVariance]) -> list[str]:
    if not varied:
        return []
    against = next(v for v in varied if (v.baseline, v.rollouts) == ("learned_value", 4))
    header = ("baseline", "M", "variance", "of that of learned_value, M = 4")
    lines = ["\n### A trained run: the location head\n", _row(header), _row(["---"] * 4)]
    for v in varied:
        r, low, high = ratio(v, against)
        compared = f"{r:.2f} [{low:.2f}, {high:.2f}]"
        lines.append(_row([v.baseline, str(v.rollouts), f"{v.variance:.3g}", compared]))
    return lines


def _row(values: Any) -> str:
    return f"| {' | '.join(values)} |"


def _plain(cells: list[Entry], varied: list[GradientVariance]) -> dict[str, Any]:
    of_problems = [
        {"problem": name, "estimator": row.estimator, "baseline": row.baseline,
         "rollouts": row.rollouts, "theory_unbiased": row.unbiased, **measured._asdict()}
        for name, row, measured in cells
    ]  # fmt: skip
    of_run = [
        {"baseline": v.baseline, "rollouts": v.rollouts, "variance": v.variance} for v in varied
    ]
    return {"problems": of_problems, "run": of_run, **versions()}


def _plot(cells: list[Entry]) -> bytes:
    shown = [(row, measured) for name, row, measured in cells if name == _DRAWN]
    labels = [_label(row) for row, _ in shown]
    bias, half, variance = (
        [getattr(m, field) for _, m in shown] for field in ("bias", "half_width", "variance")
    )
    equal = [v * row.rollouts for v, (row, _) in zip(variance, shown, strict=True)]
    columns = [
        viz.Column("bias / norm of the gradient", bias, half),
        viz.Column("variance x M / squared norm", equal, log=True),
    ]
    return viz.to_png(viz.forest(labels, columns))
