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


def forward(x: Array, kernel: Array, geometry: Geometry, *, in_parts: bool = True) -> Array:
    """Compute `plain.forward`; its patches are of few channels, and no parts are faster."""
    del in_parts
    return _compute("forward", x, kernel, geometry, _of_kernel(kernel, geometry), _at_once)


def to_input(
    cotangent: Array, kernel: Array, geometry: Geometry, *, in_parts: bool = True
) -> Array:
    """Compute `plain.to_input`, a part of the batch at a time."""
    sizes = _of_kernel(kernel, geometry)
    how = _mapped if in_parts else _at_once
    return _compute("to_input", cotangent, kernel, geometry, sizes, how)


def to_kernel(x: Array, cotangent: Array, geometry: Geometry, *, in_parts: bool = True) -> Array:
    """Compute `plain.to_kernel`, a part of the batch at a time."""
    sizes = x.shape[3] // geometry.groups, cotangent.shape[3] // geometry.groups
    return _compute("to_kernel", x, cotangent, geometry, sizes, _summed if in_parts else _at_once)


def _of_kernel(kernel: Array, geometry: Geometry) -> Pair:
    """The channels and filters of a group."""
    return kernel.shape[2], kernel.shape[3] // geometry.groups


def _compute(
    operation: str, a: Array, b: Array, geometry: Geometry, sizes: Pair, how: Callable
) -> Array:
    """Choose the form; halves are computed in float32, which loses nothing and is fast."""
    dtype, wide = a.dtype, jnp.promote_types(a.dtype, jnp.float32)
    a, b = a.astype(wide), b.astype(wide)
    tile = forms.choose_tile(operation, geometry, sizes, wide)
    if tile is None:
        return getattr(canonical, operation)(a, b, geometry).astype(dtype)
    one = partial(getattr(banded, operation), geometry=geometry._replace(groups=1), tile=tile)
    channels = sizes[0] * geometry.groups
    each = banded.patch_numbers(geometry, tile) * channels * wide.itemsize
    return how(partial(_by_group, one, geometry.groups), max(_CACHE // each, 1), a, b).astype(dtype)


def _by_group(f: Callable, groups: int, a: Array, b: Array) -> Array:
    """Map f over the groups, which lie in the last axis of both arguments and of the result."""
    if groups == 1:
        return f(a, b)
    split = [x.reshape(*x.shape[:3], groups, x.shape[3] // groups) for x in (a, b)]
    out = jax.vmap(f, 3, 3)(*split)
    return out.reshape(*out.shape[:3], -1)


def _at_once(f: Callable, most: int, a: Array, b: Array) -> Array:
    del most
    return f(a, b)


def _mapped(f: Callable, most: int, images: Array, kernel: Array) -> Array:
    """Map f(images, kernel) over parts of at most so many images."""
    parts = _parts(images, most)
    if len(parts) == 1:
        return f(images, kernel)
    out = jax.lax.map(lambda part: f(part, kernel), parts)
    return out.reshape(-1, *out.shape[2:])[: images.shape[0]]


def _summed(f: Callable, most: int, x: Array, y: Array) -> Array:
    """Sum f(x, y) over parts of at most so many images."""
    parts = _parts(x, most), _parts(y, most)
    if len(parts[0]) == 1:
        return f(x, y)
    shape = jax.eval_shape(f, *(part[0] for part in parts))
    start, _ = varying_alike(jnp.zeros(shape.shape, shape.dtype), x)
    return jax.lax.scan(lambda total, part: (total + f(*part), None), start, parts)[0]


def _parts(images: Array, most: int) -> Array:
    """Images as equal parts [parts, images, H, W, C]; zeros fill the last."""
    number = images.shape[0]
    count = -(-number // most)
    size = -(-number // count)
    gaps = (0, count * size - number), (0, 0), (0, 0), (0, 0)
    return jnp.pad(images, gaps).reshape(count, size, *images.shape[1:])
