"""From a config to its experiment."""

from collections.abc import Callable, Mapping
from typing import Any

from attn_jax.training import classification, transduction
from attn_jax.training.experiment import Experiment
from attn_jax.training.model import MODELS
from attn_jax.training.names import pick

TASKS: Mapping[str, Callable[[Any], Experiment]] = {
    "classification": classification.prepare,
    "transduction": transduction.prepare,
}


def prepare(config: Any) -> Experiment:
    """Everything that can refuse a config, before anything is written.

    Raises:
      ValueError, TypeError, OSError, ModuleNotFoundError: what cannot be built; one line.
    """
    return TASKS[pick(MODELS, config.model.name, "model.name").task](config)
