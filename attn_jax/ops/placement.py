"""How the types of arrays say where they are placed: explicit meshes and `shard_map`."""

import jax
from jax import Array
from jax.sharding import AxisType


def is_explicit(*args: Array) -> bool:
    """Whether shardings are part of types, so that XLA is to share the work among devices."""
    meshes = jax.sharding.get_abstract_mesh(), *(jax.typeof(x).sharding.mesh for x in args)
    return any(AxisType.Explicit in mesh.axis_types for mesh in meshes)


def varying_alike(*args: Array) -> list[Array]:
    """Make all arguments vary over the same axes of a `shard_map`, as JAX's own operations do."""
    axes = frozenset().union(*map(_varying, args))
    missing = [tuple(sorted(axes - _varying(x))) for x in args]
    return [
        jax.lax.pcast(x, m, to="varying") if m else x for x, m in zip(args, missing, strict=True)
    ]


def _varying(x: Array) -> frozenset:
    kind = jax.typeof(x)  # versions of JAX 0.10 have one name or the other
    return kind.vma if hasattr(kind, "vma") else kind.mat.varying
