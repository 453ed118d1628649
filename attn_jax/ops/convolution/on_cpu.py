"""The convolution and its gradients on a CPU, each in the form that is fast there."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.ops.convolution import banded, canonical, forms
from attn_jax.ops.convolution.geometry import Geometry, Pair
from attn_jax.ops.placement import varying_alike

_CACHE = 2**21  # bytes of patches that stay near a core between their copy and their product


def forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Compute `plain.forward`."""
    return _compute("forward", x, kernel, _of_kernel(kernel, geometry), geometry)


def to_input(cotangent: Array, kernel: Array, geometry: Geometry) -> Array:
    """Compute `plain.to_input`."""
    return _compute("to_input", cotangent, kernel, _of_kernel(kernel, geometry), geometry)


def to_kernel(x: Array, cotangent: Array, geometry: Geometry) -> Array:
    """Compute `plain.to_kernel`, a part of the batch at a time."""
    return _to_kernel(x, cotangent, geometry, in_parts=True)


def to_kernel_at_once(x: Array, cotangent: Array, geometry: Geometry) -> Array:
    """Compute `plain.to_kernel`, so that the batch may be split over devices."""
    return _to_kernel(x, cotangent, geometry, in_parts=False)


def _to_kernel(x: Array, cotangent: Array, geometry: Geometry, in_parts: bool) -> Array:
    channels = x.shape[3] // geometry.groups, cotangent.shape[3] // geometry.groups
    return _compute("to_kernel", x, cotangent, channels, geometry, in_parts)


def _of_kernel(kernel: Array, geometry: Geometry) -> Pair:
    """The channels and filters of a group."""
    return kernel.shape[2], kernel.shape[3] // geometry.groups


def _compute(
    operation: str,
    a: Array,
    b: Array,
    channels: Pair,
    geometry: Geometry,
    in_parts: bool = False,
) -> Array:
    """Choose the form; halves are computed in float32, which loses nothing and is fast."""
    dtype, wide = a.dtype, jnp.promote_types(a.dtype, jnp.float32)
    a, b = a.astype(wide), b.astype(wide)
    tile = forms.choose_tile(operation, geometry, channels, wide)
    if tile is None:
        return getattr(canonical, operation)(a, b, geometry).astype(dtype)
    one = partial(getattr(banded, operation), geometry=geometry._replace(groups=1), tile=tile)
    f = partial(_by_group, one, geometry.groups)
    if in_parts:
        each = banded.patch_numbers(geometry, tile) * a.shape[3] * wide.itemsize
        return _sum_of_parts(f, max(_CACHE // each, 1), a, b).astype(dtype)
    return f(a, b).astype(dtype)


def _by_group(f: Callable, groups: int, a: Array, b: Array) -> Array:
    """Map f over the groups, which lie in the last axis of both arguments and of the result."""
    if groups == 1:
        return f(a, b)
    split = [x.reshape(*x.shape[:3], groups, x.shape[3] // groups) for x in (a, b)]
    out = jax.vmap(f, 3, 3)(*split)
    return out.reshape(*out.shape[:3], -1)


def _sum_of_parts(f: Callable, most: int, x: Array, y: Array) -> Array:
    """The sum of f over parts of the batch, of at most so many images; zeros fill the last."""
    count = -(-x.shape[0] // most)
    if count == 1:
        return f(x, y)
    size = -(-x.shape[0] // count)
    gap = count * size - x.shape[0]
    parts = [
        jnp.pad(a, ((0, gap), (0, 0), (0, 0), (0, 0))).reshape(count, size, *a.shape[1:])
        for a in (x, y)
    ]
    shape = jax.eval_shape(f, *(a[0] for a in parts))
    start, _ = varying_alike(jnp.zeros(shape.shape, shape.dtype), x)
    return jax.lax.scan(lambda total, part: (total + f(*part), None), start, parts)[0]
