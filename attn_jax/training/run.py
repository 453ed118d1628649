"""A run and its folder: whether it is new, unfinished, finished or of another config."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attn_jax import cluster, devices
from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import UserError, first_line
from attn_jax.fields import differences, flatten
from attn_jax.records import Row, read_json, read_sealed, seal
from attn_jax.training.experiment import Experiment, History
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.training.writers import Progress


class Run(NamedTuple):
    """A run in progress.

    Attributes:
      workdir: its folder.
      settings: its config's sections.
      experiment: what it trains.
      checkpoints: its saved states.
      notes: plain data that each checkpoint keeps: what was best, and validated last; facts.
      progress: lines for the reader.
      started: `time.time()` when it would have begun without interruptions.
    """

    workdir: Path
    settings: Settings
    experiment: Experiment
    checkpoints: Checkpoints
    notes: dict[str, Any]
    progress: Progress
    started: float

    def save(self, step: int, state: TrainState) -> None:
        """Write a checkpoint, with the time spent so far."""
        self.notes["wall_seconds"] = time.time() - self.started
        try:
            self.checkpoints.save(step, state, self.notes)
        except Exception as error:  # orbax raises whatever its storage layers raise
            line = f"could not write a checkpoint to {self.checkpoints.folder}: {first_line(error)}"
            raise UserError(line) from error

    def validate(self, state: TrainState) -> tuple[Row, bool]:
        """The figures of a state, and whether it is the best so far: the same in all processes."""
        row = cluster.of_first(self.experiment.validate(devices.to_local(state)))
        step, value = int(state.step), row[self.experiment.best.figure]
        self.notes.update(validated=step, value=value, lower=self.experiment.best.lower)
        return row, self.note_best(step, value)

    @property
    def history(self) -> History | None:
        """The history that is drawn of the training; None where none is."""
        return self.experiment.history if self.settings.log.pictures else None

    def kept(self, state: TrainState) -> Row:
        """Numbers kept of a state to be drawn; {} where nothing is."""
        history = self.history
        if history is None:
            return {}
        return {"step": int(state.step)} | history.keep(devices.to_local(state))

    def watch(self, row: Row) -> None:
        """Say and keep the experiment's warnings about a row, the first of each kind."""
        kept = self.notes.setdefault("warnings", {})
        for kind, line in self.experiment.watch(row).items():
            if kind not in kept:
                kept[kind] = f"step {int(row['step'])}: {line}"
                self.progress.say(f"warning: {kept[kind]}")

    def restore_best(self, like: TrainState) -> TrainState:
        """The best checkpoint's state, or the best that remains, which is the best from now on."""
        state, notes = self.checkpoints.restore_best(like, self.notes["best_step"])
        step = int(state.step)
        if step != self.notes["best_step"]:
            value = notes["value"] if notes.get("validated") == step else None
            self.notes.update(best=value, best_step=step)
        return state

    def note_best(self, step: int, value: float) -> bool:
        """Whether this is the best so far; of equals the latest, which has learned longest."""
        best, lower = self.notes["best"], self.experiment.best.lower
        none = best is None or not math.isfinite(best)  # nothing compares with a nan
        better = none or (value <= best if lower else value >= best)
        if better:
            self.notes.update(best=value, best_step=step)
        return better


def check_workdir(workdir: Path, config: Mapping[str, Any]) -> None:
    """Refuse a folder that cannot be one, or that holds a run of another config.

    A run that ended before its first checkpoint, as one that does not fit into memory, may be begun
    anew with any config.

    Raises:
      UserError: naming the path, or the fields that differ with both values.
    """
    try:
        above = [path for path in (workdir, *workdir.parents) if path.exists()]
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UserError(f"--workdir={workdir} cannot be a folder: {error.strerror}") from error
    if above and not above[0].is_dir():
        raise UserError(f"--workdir={workdir} cannot be a folder: {above[0]} is a file")
    path = workdir / "config.json"
    if not path.exists():
        return
    before = read_json(path)
    if "system" not in before:
        raise UserError(
            f"{workdir} holds a run of an older version, whose config has no 'system'; "
            "give this run another --workdir"
        )
    differ = differences(_held(before), _held(config))
    if differ and _has_learned(workdir):
        raise UserError(f"{workdir} holds a run of another config: {'; '.join(differ)}")


def config_in(workdir: Path) -> Mapping[str, Any]:
    """The config of the run in a folder; {} if there is none."""
    path = workdir / "config.json"
    try:
        there = path.is_file()
    except OSError:  # `check_workdir` refuses such a folder by name
        there = False
    return read_json(path) if there else {}


def _has_learned(workdir: Path) -> bool:
    """Whether a folder holds what another config's run would lose."""
    folders = (workdir / "checkpoints").glob("*")
    return (workdir / "result.json").exists() or any(one.name.isdecimal() for one in folders)


def _held(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a run is held to: all but its length, its logging, and where its data lie.

    Data may be moved: their digest is among the facts.
    """
    free = ("train.steps", "data.path")
    flat = flatten(config).items()
    return {name: x for name, x in flat if name not in free and not name.startswith("log.")}


def identity(config: Mapping[str, Any]) -> str:
    """A digest of the fields that a run is held to."""
    return seal(_held(config))["digest"]


def finished(workdir: Path, steps: int) -> bool:
    """Whether the run in this folder already has its result, at this many steps."""
    result = workdir / "result.json"
    return result.exists() and read_sealed(result).get("steps") == steps
