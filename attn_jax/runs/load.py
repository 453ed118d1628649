"""Loading a run: its model, its variables, its config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jax import Array

from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import UserError
from attn_jax.records import read_json
from attn_jax.systems import read_config
from attn_jax.training.experiment import Model, System
from attn_jax.training.run import identity
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.training.update import fresh_state
from attn_jax.types import Key, PyTree


class LoadedRun(NamedTuple):
    """A trained model.

    Attributes:
      model: the system's model, without its data.
      variables: of its module; of parameters the moving average where there is one.
      config: of the run, plain data.
      settings: the config's sections.
      facts: what the model knows of its data.
      state: the whole train state.
      step: of the checkpoint.
      system: what was trained.
    """

    model: Model
    variables: PyTree
    config: Mapping[str, Any]
    settings: Any
    facts: Mapping[str, Any]
    state: TrainState
    step: int
    system: System

    @property
    def module(self) -> Any:
        """The Flax module, choosing at its mode."""
        return self.model.module

    def apply(self, x: Array, key: Key) -> Any:
        """Outputs of one rollout at the policy's mode.

        Args:
          x: [B, ...] as the system takes them: images [B, H, W, C] in [0, 1] of the run's canvas,
            or codes [B, L] of texts.
          key: of random starts; the same for an example only if it stands at the same index.

        Raises:
          ValueError: for inputs of another shape.
        """
        return self.model.apply(self.variables, x, key)


def read_run(workdir: str | Path) -> tuple[dict[str, Any], System, Settings]:
    """The config of a run, its system, and its sections.

    Raises:
      UserError: if there is no run, or it is one of another version.
    """
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        raise UserError(f"{workdir} holds no run: there is no config.json in it")
    config = read_json(workdir / "config.json")
    try:
        return config, *read_config(config)
    except ValueError as error:
        raise UserError(f"{workdir} holds a run of another version: {error}") from error


def load(workdir: str | Path, step: int | None = None) -> LoadedRun:
    """The model of a run.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best on validation.

    Raises:
      UserError: if there is no run, no such checkpoint, or it is damaged.
    """
    config, system, settings = read_run(workdir)
    checkpoints = Checkpoints(Path(workdir) / "checkpoints", identity(config))
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f"{workdir} holds no checkpoint yet")
    if step is not None and step not in steps:
        raise UserError(f"{workdir} holds checkpoints of steps {steps}; got {step}")
    facts = _facts(checkpoints, step)
    model = system.rebuild(settings, facts)
    like = fresh_state(settings, model.learner)
    state, _ = checkpoints.restore_best(like) if step is None else checkpoints.restore(step, like)
    variables, at = model.variables(state.evaluated, state.carried), int(state.step)
    return LoadedRun(model, variables, config, settings, facts, state, at, system)


def _facts(checkpoints: Checkpoints, step: int | None) -> Mapping[str, Any]:
    """The facts of a checkpoint, or of the newest whose notes can be read: all have the same."""
    for one in reversed(checkpoints.steps()):
        if step is None and (facts := checkpoints.noted(one, "facts")) is not None:
            return facts
    return checkpoints.notes(max(checkpoints.steps()) if step is None else step)["facts"]
