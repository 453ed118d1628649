"""The convolution and its gradients on a CPU, each in the form that is fast there."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.ops.convolution import banded, canonical, forms
from attn_jax.ops.convolution.geometry import Geometry, Pair


def forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Compute `plain.forward`."""
    return _compute("forward", x, kernel, _of_kernel(kernel, geometry), geometry)


def to_input(cotangent: Array, kernel: Array, geometry: Geometry) -> Array:
    """Compute `plain.to_input`."""
    return _compute("to_input", cotangent, kernel, _of_kernel(kernel, geometry), geometry)


def to_kernel(x: Array, cotangent: Array, geometry: Geometry) -> Array:
    """Compute `plain.to_kernel`."""
    channels = x.shape[3] // geometry.groups, cotangent.shape[3] // geometry.groups
    return _compute("to_kernel", x, cotangent, channels, geometry)


def _of_kernel(kernel: Array, geometry: Geometry) -> Pair:
    """The channels and filters of a group."""
    return kernel.shape[2], kernel.shape[3] // geometry.groups


def _compute(operation: str, a: Array, b: Array, channels: Pair, geometry: Geometry) -> Array:
    """Choose the form; halves are computed in float32, which loses nothing and is fast."""
    dtype, wide = a.dtype, jnp.promote_types(a.dtype, jnp.float32)
    tile = forms.choose_tile(operation, geometry, channels, wide)
    if tile is None:
        f: Any = partial(getattr(canonical, operation), geometry=geometry)
    else:
        one = partial(getattr(banded, operation), geometry=geometry._replace(groups=1), tile=tile)
        f = partial(_by_group, one, geometry.groups)
    return f(a.astype(wide), b.astype(wide)).astype(dtype)


def _by_group(f: Any, groups: int, a: Array, b: Array) -> Array:
    """Map f over the groups, which lie in the last axis of both and of the result."""
    if groups == 1:
        return f(a, b)
    split = [x.reshape(*x.shape[:3], groups, x.shape[3] // groups) for x in (a, b)]
    out = jax.vmap(f, 3, 3)(*split)
    return out.reshape(*out.shape[:3], -1)
