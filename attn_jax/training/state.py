"""The train state: all that a resumed run needs to go on bit for bit."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.types import PyTree


class TrainState(NamedTuple):
    """Everything that changes while training.

    Attributes:
      step: [], updates done so far; also the position in the data.
      key: raw data of the run's key; each step folds its number in.
      params: the model's parameters, the only part that is differentiated.
      optimizer: optax's state.
      carried: whatever else changes: a baseline's state, batch statistics.
      average: moving average of the parameters; () if there is none.
    """

    step: Array
    key: Array
    params: PyTree
    optimizer: PyTree
    carried: PyTree
    average: PyTree

    @property
    def evaluated(self) -> Any:
        """The parameters to measure: the average where there is one."""
        return self.average if jax.tree.leaves(self.average) else self.params

    @property
    def size(self) -> int:
        """How many numbers the parameters hold."""
        return sum(jnp.size(leaf) for leaf in jax.tree.leaves(self.params))


def averaged(average: PyTree, params: PyTree, decay: float) -> PyTree:
    """average <- decay average + (1 - decay) params; () stays ()."""
    if not jax.tree.leaves(average):
        return average
    return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
