"""Checkpoints, by orbax: the latest two and the best, written atomically.

The one module that knows orbax: its top-level API changes at 1.0.
"""

import contextlib
import hashlib
import io
import json
import logging
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
from attn_jax.records import write_json
from attn_jax.types import PyTree

_logger = logging.getLogger("attn_jax")


class Damaged(UserError):
    """A checkpoint that will never be read: the one before it may."""


class Checkpoints:
    """A run's `checkpoints/` folder: one subfolder a step, each with the state and its notes."""

    def __init__(self, folder: Path):
        self.folder = folder
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None, enable_async_checkpointing=False, create=False
        )
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
                write_json(self._notes(step), {**self.notes(step), **notes})
            return
        whole = jax.device_get(devices.to_local(state))
        notes = {**notes, "digest": _digest(whole)}
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
        latest = self.steps()[-2:]
        best = {self.noted(one, "best_step") for one in latest}  # a run may go on from either
        for old in {*self.steps()} - {*latest} - best:
            self._manager.delete(old)

    def _sweep(self) -> None:
        """Drop what a save that was killed or failed has left half written."""
        if not devices.is_first():
            return
        for half in self.folder.glob("*.orbax-checkpoint-tmp*"):
            for _ in range(50):  # orbax's threads may still be writing what has failed already
                shutil.rmtree(half, ignore_errors=True)
                if not half.exists():
                    break
                time.sleep(0.02)

    def restore(self, step: int, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """(state, notes) of a step.

        Raises:
          Damaged: if it will never be read.
          UserError: if it cannot be read now, or is of a model of other shapes.
        """
        name = f"the checkpoint of step {step} in {self.folder}"
        arrays = ocp.args.StandardRestore(like)
        items = ocp.args.Composite(state=arrays, notes=ocp.args.JsonRestore())
        try:
            found = self._manager.restore(step, args=items)
            state, notes, digest = found["state"], found["notes"], found["notes"]["digest"]
        except Exception as error:  # orbax raises whatever its storage layers raise
            if cluster.is_lost(error):
                raise
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise UserError(f"{name} cannot be read: {_in_words(error)}") from error
            raise Damaged(f"{name} is damaged: {_in_words(error)}") from error
        if _digest(jax.device_get(devices.to_local(state))) != digest:
            raise Damaged(f"{name} is damaged: its digest differs")
        if jax.tree.map(np.shape, state) != jax.tree.map(np.shape, like):
            raise UserError(f"{name} is of a model of other shapes")
        return state, notes

    def restore_latest(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """The newest whole checkpoint, dropping damaged ones with a warning; None if there is none.

        Raises:
          UserError: if there are checkpoints, and none can be read.
        """
        damaged: dict[int, Damaged] = {}
        for step in reversed(self.steps()):
            try:
                found = self.restore(step, like)
            except Damaged as error:
                damaged[step] = error
                continue
            for bad, error in damaged.items():
                _logger.warning("%s; going on from step %d", error, step)
                self._manager.delete(bad)
            return found
        if damaged:
            raise next(iter(damaged.values()))
        return None

    def notes(self, step: int) -> dict[str, Any]:
        """The notes of a step, without its state."""
        try:
            return json.loads(self._notes(step).read_text())
        except (OSError, ValueError) as error:
            name = f"the checkpoint of step {step} in {self.folder}"
            raise Damaged(f"{name} is damaged: {_in_words(error)}") from error

    def noted(self, step: int, name: str) -> Any:
        """One of the notes of a step; None if it has none, or they are damaged."""
        try:
            return self.notes(step)[name]
        except (UserError, TypeError, KeyError):
            return None

    def _notes(self, step: int) -> Path:
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


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)[:200]}"
