"""Taking up a run from code."""

from pathlib import Path
from typing import NamedTuple

import jax
from jax import Array
from ml_collections import ConfigDict

from attn_jax.models import Outputs, RecurrentClassifier, Seq2Seq
from attn_jax.training.build import Parts, Shape, build
from attn_jax.training.checkpoint import Checkpoints
from attn_jax.training.names import UserError
from attn_jax.training.state import TrainState
from attn_jax.training.update import init_state
from attn_jax.training.workdir import read_json
from attn_jax.types import Key, PyTree


class Loaded(NamedTuple):
    """A trained model.

    Attributes:
      model: choosing at the policy's mean.
      variables: its variables; the moving average where there is one.
      config: of the run.
      parts: what the config names.
      state: the whole train state.
      step: of the checkpoint.
    """

    model: RecurrentClassifier | Seq2Seq
    variables: PyTree
    config: ConfigDict
    parts: Parts
    state: TrainState
    step: int

    def apply(self, images: Array, key: Key) -> Outputs:
        """One rollout at the policy's mean.

        Args:
          images: [B, H, W, C] in [0, 1], of the run's canvas; of a run over texts, codes [B, L].
          key: of the random starts; the same for an image wherever it stands in the batch only
            if it stands at the same index.
        """
        canvas = self.parts.nothing.shape[1:]
        if images.shape[1:] != canvas:
            raise ValueError(
                f"images must be [B, {', '.join(map(str, canvas))}]; got {images.shape}"
            )
        from attn_jax.modules import rollout_keys

        keys = rollout_keys(key, jax.numpy.arange(len(images)), self.config.model.glimpses)
        return self.model.apply(self.variables, images, keys)


def load(workdir: str | Path, step: int | None = None) -> Loaded:
    """The model of a run.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best on validation.

    Raises:
      UserError: if there is no run, no such checkpoint, or it is damaged.
    """
    workdir = Path(workdir)
    if not (workdir / "config.json").exists():
        raise UserError(f"{workdir} holds no run: there is no config.json in it")
    config = ConfigDict(read_json(workdir / "config.json"))
    checkpoints = Checkpoints(workdir / "checkpoints")
    steps = checkpoints.steps()
    if not steps:
        raise UserError(f"{workdir} holds no checkpoint yet")
    notes = checkpoints.notes(steps[-1])
    if step is None:
        step = notes["best_step"] or steps[-1]
    if step not in steps:
        raise UserError(f"{workdir} holds checkpoints of steps {steps}; got {step}")
    try:
        parts = build(config, Shape(tuple(notes["canvas"]), notes["num_classes"]))
    except AttributeError as error:  # of a config written before a field was thought of
        field = str(error).strip("\"'")
        raise UserError(
            f"{workdir} is a run of another version: its config has no {field!r}"
        ) from error
    state, _ = checkpoints.restore(step, init_state(config, parts))
    model = parts.model(parts.final.greedy, parts.start.choose)
    return Loaded(model, state.evaluated, config, parts, state, step)
