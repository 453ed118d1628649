"""The runs of a table's cells: which are finished, what they measured, and how sure that is."""

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import Any, NamedTuple

from scipy.stats import t

from attn_jax import lock
from attn_jax.errors import UserError, as_user_errors, check_name
from attn_jax.fields import as_json, settled
from attn_jax.records import read_sealed
from attn_jax.studies.tables import Entry
from attn_jax.systems import system_of
from attn_jax.tasks import wilson
from attn_jax.training.run import check_workdir, config_in, finished

Interval = tuple[float, float, float]  # a value, and the two ends of its 95 % interval

FINISHED, HELD, FAILED, STOPPED, NOT_RUN = (
    "finished",
    "in progress",
    "failed",
    "stopped",
    "not run",
)
_Z = NormalDist().inv_cdf(0.975)


class Outcome(NamedTuple):
    """How far a run is.

    Attributes:
      state: one of the five above.
      said: a few words, of a run that failed or has only begun; may be "".
      result: what it measured; {} unless it is finished.
    """

    state: str
    said: str = ""
    result: Mapping[str, Any] = {}

    @property
    def words(self) -> str:
        """The state for a reader, in one line."""
        return f"{self.state}: {self.said}" if self.said else self.state


def failure_file(folder: Path) -> Path:
    """The file beside a run's folder that holds the one line it failed with."""
    return folder.with_name(folder.name + ".failed")


def outcome(folder: Path, config: Mapping[str, Any], figure: str) -> Outcome:
    """Find out how far the run in a folder is; nothing is written.

    Args:
      folder: the run's; need not be there.
      config: what it is a run of, plain data; another one's run counts as failed.
      figure: what must be among its results.
    """
    steps = config["train"]["steps"]
    try:
        check_workdir(folder, _settled(folder, config))
        if finished(folder, steps):
            result = read_sealed(folder / "result.json")
            with as_user_errors():
                check_name(f"the figure of {folder.name}", figure, _measured(result))
            return Outcome(FINISHED, result=result)
    except UserError as error:
        return Outcome(FAILED, str(error))
    saved = [int(one.name) for one in (folder / "checkpoints").glob("*") if one.name.isdecimal()]
    step = f"step {max(saved)} of {steps}" if saved else ""
    if is_held(folder):
        return Outcome(HELD, step)
    if failure_file(folder).exists():
        return Outcome(FAILED, failure_file(folder).read_text(errors="replace").strip())
    return Outcome(STOPPED, step) if saved else Outcome(NOT_RUN)


def _settled(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with what the run in a folder has settled on its machine."""
    before = config_in(folder)
    with as_user_errors():
        return settled(system_of(config).sections, as_json(config), before) if before else {}


def _measured(result: Mapping[str, Any]) -> list[str]:
    return [name for name in result if "/" in name and not name.startswith("version/")]


def is_held(folder: Path) -> bool:
    """Whether a process is training in a folder now."""
    if not (folder / "lock").exists():
        return False
    try:
        with lock.hold(folder):
            return False
    except (UserError, OSError):
        return True


class CellFigures(NamedTuple):
    """One cell of a table, over its seeds.

    Attributes:
      entry: which.
      outcomes: seed -> how far its run is.
    """

    entry: Entry
    outcomes: Mapping[str, Outcome]

    @property
    def results(self) -> dict[str, Mapping[str, Any]]:
        """Seed -> what was measured, of finished runs alone."""
        return {seed: one.result for seed, one in self.outcomes.items() if one.result}

    @property
    def values(self) -> dict[str, float]:
        """Seed -> the figure, of finished runs alone."""
        return {seed: one[self.entry.figure] for seed, one in self.results.items()}

    @property
    def mean(self) -> float | None:
        """The mean over seeds; None before one is finished."""
        return fmean(self.values.values()) if self.values else None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The 95 % interval of one seed, or of all of them pooled, each test example counted
        once a seed; None of several whose own intervals are not Wilson's."""
        each = [ends_of(one, self.entry.figure) for one in self.results.values()]
        if len(each) == 1:
            return each[0]
        counted = [
            trials(value, *ends) if ends else None
            for value, ends in zip(self.values.values(), each, strict=True)
        ]
        known = [total for total in counted if total]
        if not each or len(known) < len(each):
            return None
        right = sum(round(v * n) for v, n in zip(self.values.values(), known, strict=True))
        return wilson(right, sum(known))


def ends_of(result: Mapping[str, Any], figure: str) -> tuple[float, float] | None:
    """The ends of a figure's interval; None where it has none."""
    low, high = result.get(f"{figure}_low"), result.get(f"{figure}_high")
    return None if low is None or high is None else (low, high)


def trials(value: float, low: float, high: float) -> int | None:
    """The number of trials whose 95 % Wilson interval this is; None if it is of another kind.

        n = z^2 e (1 - e) / (p - e)^2,   e either end that differs from p

    >>> trials(10 / 500, *wilson(10, 500)), trials(0.0, *wilson(0, 40)), trials(0.5, 0.4, 0.7)
    (500, 40, None)
    """
    end = low if value - low > high - value else high
    if value == end or not 0 < end < 1:
        return None
    total = round(_Z**2 * end * (1 - end) / (value - end) ** 2)
    if total < 1 or not 0 <= value <= 1:
        return None
    again = wilson(round(value * total), total)
    return total if math.dist(again, (low, high)) < 1e-6 else None


def difference(one: CellFigures, control: CellFigures) -> tuple[float, ...] | None:
    """The control's figure minus the cell's: (mean,) or (mean, low, high), over seeds of both.

    The 95 % interval of several seeds is Student's t of the differences, seed by seed. That of one
    seed is Newcombe's, of two proportions on separate examples: on the same examples, as here, it
    is too wide rather than too narrow. None where no seed of both is finished.

    Reference: Newcombe, "Interval estimation for the difference between independent proportions:
    comparison of eleven methods", Statistics in Medicine 1998, method 10.
    """
    both = [seed for seed in one.values if seed in control.values]
    if not both:
        return None
    apart = [control.values[seed] - one.values[seed] for seed in both]
    mean = fmean(apart)
    if len(both) > 1:
        half = float(t.ppf(0.975, len(both) - 1)) * stdev(apart) / math.sqrt(len(both))
        return mean, mean - half, mean + half
    mine = ends_of(one.results[both[0]], one.entry.figure)
    others = ends_of(control.results[both[0]], control.entry.figure)
    if not mine or not others:
        return (mean,)
    return newcombe((one.values[both[0]], *mine), (control.values[both[0]], *others))


def newcombe(one: Interval, other: Interval) -> Interval:
    """other minus one, of two proportions with their Wilson intervals, with its 95 % interval.

    >>> [round(x, 4) for x in newcombe((56 / 70, *wilson(56, 70)), (48 / 80, *wilson(48, 80)))]
    [-0.2, -0.3339, -0.0524]
    """
    (p, low, high), (q, bottom, top) = one, other
    apart = q - p
    return apart, apart - math.hypot(q - bottom, high - p), apart + math.hypot(top - q, p - low)
