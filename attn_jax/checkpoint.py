"""Checkpoints, by orbax: the latest two and the best, written atomically.

The one module that knows orbax: its top-level API changes at 1.0.
"""

import contextlib
import hashlib
import io
import logging
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from attn_jax import cluster, devices
from attn_jax.errors import UserError, first_line
from attn_jax.records import read_sealed, seal, write_sealed
from attn_jax.types import PyTree

_logger = logging.getLogger("attn_jax")
_HALF = ".orbax-checkpoint-tmp"  # in the names of orbax's folders before they are complete
_GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class Damaged(UserError):
    """A checkpoint that will never be read: another one may."""


class Checkpoints:
    """A run's `checkpoints/` folder: one subfolder a step, each with the state and its notes."""

    def __init__(self, folder: Path, run: str = ""):
        """Open a folder; `run` names the run whose checkpoints they must be."""
        self.folder, self._run = folder, run
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None, enable_async_checkpointing=False, create=False
        )
        with _quiet():
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: PyTree, notes: dict[str, Any]) -> None:
        """Write a checkpoint, then drop all but the latest two and the "best_step" of their notes.

        Of a step that is there already the notes alone are written.
        """
        if step in self.steps():
            if devices.is_first():
                write_sealed(self._path(step), {**self.notes(step), **notes})
            return
        whole = jax.device_get(devices.to_local(state))
        notes = seal({**notes, "state": _digest(whole), "step": step, "run": self._run})
        # Each of many processes writes what lies on its own devices.
        arrays = ocp.args.StandardSave(whole if jax.process_count() == 1 else state)
        items = ocp.args.Composite(state=arrays, notes=ocp.args.JsonSave(notes))
        self._sweep()
        try:
            with _quiet():
                self._manager.save(step, args=items, force=True)
        except Exception:
            self._sweep()
            raise
        self._keep(self.steps()[-2:])

    def _keep(self, latest: list[int]) -> None:
        """Delete all but these steps and the best of each: a run may go on from any of them."""
        best = {self.noted(one, "best_step") for one in latest}
        for old in {*self.steps()} - {*latest} - best:
            self._delete(old)

    def _delete(self, step: int) -> None:
        folder = self.folder / str(step)
        if devices.is_first() and folder.exists():
            folder.rename(f"{folder}{_HALF}-deleted")  # whole or not at all, should this be killed
        with _quiet():
            self._manager.delete(step)
        self._sweep()

    def _sweep(self) -> None:
        """Drop what was half written, or half deleted, when it failed or was killed."""
        if not devices.is_first():
            return
        for half in self.folder.glob(f"*{_HALF}*"):
            for _ in range(50):  # orbax's threads may still be writing what has failed already
                shutil.rmtree(half, ignore_errors=True)
                if not half.exists():
                    break
                time.sleep(0.02)

    def restore(self, step: int, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """(state, notes) of a step.

        Raises:
          Damaged: if it will never be read.
          UserError: if it cannot be read now, or is of another run, or of other shapes.
        """
        name, notes = self._name(step), self.notes(step)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(like))
        try:
            with _quiet():
                state = self._manager.restore(step, args=items)["state"]
            digest = _digest(jax.device_get(devices.to_local(state)))
        except Exception as error:  # orbax raises whatever its storage layers raise
            if cluster.is_lost(error):
                raise
            raise self._unread(step, error) from error
        if digest != notes["state"]:
            raise Damaged(f"{name} is damaged: its digest differs")
        if jax.tree.map(np.shape, state) != jax.tree.map(np.shape, like):
            raise UserError(f"{name} is of a model of other shapes")
        return state, notes

    def restore_latest(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """The newest whole checkpoint, dropping damaged ones with a warning; None if there is none.

        Raises:
          UserError: if there are checkpoints, and none can be read, or one is of another run.
        """
        if not self.steps():
            return None
        step, found, damaged = self._first([*reversed(self.steps())], like)
        for bad, error in damaged.items():
            _logger.warning("%s; going on from step %d", error, step)
            self._delete(bad)
        self._sweep()
        self._keep(self.steps()[-2:])
        return found

    def restore_best(self, like: PyTree, best: int | None = None) -> tuple[PyTree, dict[str, Any]]:
        """The best checkpoint, or with a warning the best that remains.

        Args:
          like: a state of the same shapes.
          best: its step; by default the one that the newest notes name.

        Raises:
          UserError: if none can be read, or one is of another run.
        """
        steps = self.steps()
        named = (self.noted(step, "best_step") for step in reversed(steps))
        best = next((step for step in named if step is not None), None) if best is None else best
        ranked = sorted(steps, key=lambda step: (step != best, self._rank(step)))
        step, found, damaged = self._first(ranked, like)
        if best not in (None, step):
            why = damaged.get(best, f"{self._name(best)} is not there")
            _logger.warning("%s; taking step %d, the best that remains", why, step)
        return found

    def _rank(self, step: int) -> tuple[bool, float, int]:
        """The place of a step among others, the best first, measured before unmeasured."""
        value = self.noted(step, "value") if self.noted(step, "validated") == step else None
        if value is None or not math.isfinite(value):
            return True, 0.0, -step
        return False, value if self.noted(step, "lower") else -value, -step

    def _first(
        self, steps: list[int], like: PyTree
    ) -> tuple[int, tuple[PyTree, dict[str, Any]], dict[int, Damaged]]:
        """The first of these steps that can be read, what it holds, and the damaged ones before."""
        damaged: dict[int, Damaged] = {}
        for step in steps:
            try:
                return step, self.restore(step, like), damaged
            except Damaged as error:
                damaged[step] = error
        raise next(iter(damaged.values()))

    def notes(self, step: int) -> dict[str, Any]:
        """The notes of a step, without its state; the same errors as of `restore`."""
        try:
            notes = read_sealed(self._path(step))
        except UserError as error:
            raise self._unread(step, error.__cause__ or error) from error
        if notes["step"] != step:
            raise Damaged(f"{self._name(step)} is damaged: it is the one of step {notes['step']}")
        if notes["run"] != self._run:
            raise UserError(f"{self._name(step)} is of another run: its config was another")
        return notes

    def noted(self, step: int, name: str) -> Any:
        """One of the notes of a step; None if it has none, or they are damaged."""
        try:
            return self.notes(step).get(name)
        except Damaged:
            return None

    def _unread(self, step: int, error: BaseException) -> UserError:
        """Say that a checkpoint is damaged, or that its disk does not answer just now."""
        passing = isinstance(error, OSError) and not isinstance(error, _GONE)
        kind, said = (UserError, "cannot be read") if passing else (Damaged, "is damaged")
        return kind(f"{self._name(step)} {said}: {type(error).__name__}: {first_line(error)[:200]}")

    def _name(self, step: int) -> str:
        return f"the checkpoint of step {step} in {self.folder}"

    def _path(self, step: int) -> Path:
        return self.folder / str(step) / "notes" / "metadata"

    def close(self) -> None:
        """End orbax's threads."""
        self._manager.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracebacks of orbax's threads: what went wrong is raised as well."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.disabled = before


def _digest(state: PyTree) -> str:
    """A hash of every leaf: storage that decodes without complaint may still be damaged."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
