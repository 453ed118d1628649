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
      variables: the model's.
      optimizer: optax's state.
      baseline: the baseline's state.
      average: moving average of the variables; () if there is none.
    """

    step: Array
    key: Array
    variables: PyTree
    optimizer: PyTree
    baseline: PyTree
    average: PyTree

    @property
    def evaluated(self) -> Any:
        """The variables to measure: the average where there is one."""
        return self.average if jax.tree.leaves(self.average) else self.variables

    @property
    def size(self) -> int:
        """How many numbers the variables hold."""
        return sum(jnp.size(leaf) for leaf in jax.tree.leaves(self.variables))


def data_mesh() -> jax.sharding.Mesh:
    """One ("data",) axis over all devices.

    Auto axes: with explicit ones the gradients of a sharded batch raise ShardingTypeError.
    """
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=auto)


def replicated(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """The same on every device."""
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def over_batch(mesh: jax.sharding.Mesh, axis: int = 0) -> jax.sharding.NamedSharding:
    """Split over the devices along `axis`."""
    spec = jax.sharding.PartitionSpec(*([None] * axis), "data")
    return jax.sharding.NamedSharding(mesh, spec)


def averaged(average: PyTree, variables: PyTree, decay: float) -> PyTree:
    """average <- decay average + (1 - decay) variables; () stays ()."""
    if not jax.tree.leaves(average):
        return average
    return jax.tree.map(lambda a, v: decay * a + (1 - decay) * v, average, variables)


def fresh_average(variables: PyTree, decay: float) -> PyTree:
    """A copy to start the average from; () if decay is 0."""
    return jax.tree.map(jnp.copy, variables) if decay else ()
