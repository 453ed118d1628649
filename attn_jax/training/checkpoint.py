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

from attn_jax import devices
from attn_jax.errors import UserError, first_line
from attn_jax.types import PyTree

_logger = logging.getLogger("attn_jax")


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
        """Write a checkpoint, then drop all but the latest two and the best.

        Args:
          step: its number.
          state: arrays.
          notes: plain data kept beside it; "best_step" names the best so far.
        """
        if step in self.steps():
            return
        whole = jax.device_get(devices.to_local(state))
        notes = {**notes, "digest": _digest(whole)}
        # Of many processes each writes what lies on its own devices.
        state = whole if jax.process_count() == 1 else state
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), notes=ocp.args.JsonSave(notes)
        )
        self._sweep()
        try:
            with _quiet():
                self._manager.save(step, args=items, force=True)
        except Exception:
            self._sweep()
            raise
        keep = {*self.steps()[-2:], notes.get("best_step")}
        for old in set(self.steps()) - keep:
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
          UserError: if the checkpoint is damaged, or of a model of other shapes.
        """
        try:
            items = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(like), notes=ocp.args.JsonRestore()
                ),
            )
            state, notes, digest = items["state"], items["notes"], items["notes"]["digest"]
        except Exception as error:  # orbax raises whatever its storage layers raise
            raise UserError(
                f"the checkpoint of step {step} in {self.folder} is damaged: {_damage(error)}"
            ) from error
        if _digest(jax.device_get(devices.to_local(state))) != digest:
            raise UserError(
                f"the checkpoint of step {step} in {self.folder} is damaged: its digest differs"
            )
        if jax.tree.map(np.shape, state) != jax.tree.map(np.shape, like):
            raise UserError(
                f"the checkpoint of step {step} in {self.folder} is of a model of other shapes"
            )
        return state, notes

    def restore_latest(self, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
        """The newest checkpoint that can be read, dropping damaged ones with a warning.

        Returns None if there is no checkpoint at all.

        Raises:
          UserError: if there are checkpoints, and none can be read.
        """
        damaged: dict[int, UserError] = {}
        for step in reversed(self.steps()):
            try:
                found = self.restore(step, like)
            except UserError as error:
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
        path = self.folder / str(step) / "notes" / "metadata"
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UserError(
                f"the checkpoint of step {step} in {self.folder} is damaged: {_damage(error)}"
            ) from error


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


def _damage(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)[:200]}"
