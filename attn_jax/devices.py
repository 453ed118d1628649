"""Devices and processes: one ("data",) mesh over all of them, and arrays on it.

A process is one Python program; JAX's runtime joins many of them, one a host, into a cluster. The
batch is split over all devices, and each process brings its own part of it.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from attn_jax import memory
from attn_jax.types import PyTree


def data_mesh() -> Mesh:
    """One ("data",) axis over all devices.

    Auto axes: with explicit ones the gradients of a sharded batch raise ShardingTypeError.
    """
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=auto)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what is the same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_batch(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """The sharding of what is split over the devices along `axis`."""
    return NamedSharding(mesh, PartitionSpec(*([None] * axis), "data"))


def layout(shapes: PyTree, split: bool) -> PyTree:
    """The sharding of each array: replicated, or split along its largest axis that divides.

    Args:
      shapes: arrays, or their shapes.
      split: whether to split them over the devices; what has no such axis is replicated.
    """
    mesh = data_mesh()

    def of_one(leaf: Any) -> Sharding:
        axes = [i for i, size in enumerate(leaf.shape) if size and size % mesh.size == 0]
        if not split or not axes:
            return replicated(mesh)
        return over_batch(mesh, max(axes, key=lambda i: leaf.shape[i]))

    return jax.tree.map(of_one, shapes)


def init_sharded(init: Callable[[], PyTree], split: bool) -> PyTree:
    """Arrays made on the devices, in their layout."""
    return jax.jit(init, out_shardings=layout(jax.eval_shape(init), split))()


def check_state(init: Callable[[], PyTree], split: bool) -> None:
    """Refuse a train state that would not fit, before `init_sharded` makes it.

    Raises:
      UserError: naming the memory.
    """
    shares = jax.device_count() if split else 1
    what = "the parameters and the optimiser's state"
    memory.check_arrays(what, jax.eval_shape(init), split=shares)


def replicate(tree: PyTree) -> PyTree:
    """Host arrays, the same in all processes, on every device.

    Raises:
      UserError: for arrays that do not fit.
    """
    memory.check_arrays("the data that stays on each device", tree)
    return _put(tree, replicated(data_mesh()), np.shape)


def shard_batches(fed: PyTree) -> PyTree:
    """Host arrays [K, B / processes, ...] as device arrays [K, B, ...], split over the batch."""

    def whole(leaf: Any) -> tuple[int, ...]:
        count, batch, *rest = np.shape(leaf)
        return (count, batch * jax.process_count(), *rest)

    return _put(fed, over_batch(data_mesh(), 1), whole)


def _put(tree: PyTree, sharding: Sharding, shape: Callable[[Any], tuple[int, ...]]) -> PyTree:
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(
            sharding, np.asarray(leaf), shape(leaf)
        ),
        tree,
    )


def to_local(tree: PyTree) -> PyTree:
    """Gather each array whole on this process; arrays of one process are returned as they are."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(
        lambda leaf: (
            np.asarray(leaf)
            if leaf.is_fully_replicated
            else multihost_utils.process_allgather(leaf, tiled=True)
        ),
        tree,
    )


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def describe() -> str:
    """The devices in words."""
    processes = f" of {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return f"{jax.device_count()} {jax.devices()[0].device_kind} device(s){processes}"


def check_batch(batch: int, count: int) -> None:
    """Refuse `count` batches that cannot be split over the devices, or whose ids do not fit.

    Raises:
      ValueError: naming both numbers.
      UserError: naming the memory.
    """
    devices, processes = jax.device_count(), jax.process_count()
    if batch % devices:
        over = f"{devices} devices" + (f" of {processes} processes" if processes > 1 else "")
        raise ValueError(f"train.batch must divide over {over}; got {batch}")
    ids = 8 * batch * count  # the least that is made of each example, before it is split
    what = f"the examples of one call, train.batch={batch} by train.steps_per_call={count},"
    memory.check_bytes(what, ids, on_host=True)


def barrier(name: str) -> None:
    """Wait until every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def first_process_due(seconds: float, limit: float) -> bool:
    """Whether so many seconds have passed on the clock of the first process."""
    passed = seconds >= limit
    if jax.process_count() == 1:
        return passed
    return bool(multihost_utils.process_allgather(np.int32(passed))[0])
