"""How the convolution's primitives are mapped by `vmap`, over either argument or over both.

An axis mapped in one argument becomes more images, channels or filters; one mapped in both becomes
more groups. Channels and filters are ordered (group, mapped, within the group).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from attn_jax.ops.convolution.geometry import Geometry

_IMAGES, _CHANNELS, _LAST = 0, 2, 3  # axes: images, a kernel's channels, channels or filters


def forward(bind: Callable, args, axes, *, geometry: Geometry) -> tuple[Array, int]:
    """Map the convolution: more images, more filters, or more groups."""
    (x, kernel), (of_x, of_kernel), groups = args, axes, geometry.groups
    if of_kernel is None:
        return _with_more_images(bind, x, of_x, kernel, geometry)
    if of_x is not None:
        geometry = geometry._replace(groups=groups * x.shape[of_x])
    out = bind(_fold(x, of_x, _LAST, groups), _fold(kernel, of_kernel, _LAST, groups),
               geometry=geometry)  # fmt: skip
    return _unfold(out, kernel.shape[of_kernel], _LAST, groups), 0


def to_input(bind: Callable, args, axes, *, geometry: Geometry) -> tuple[Array, int]:
    """Map the gradient to the images: more images, more channels, or more groups."""
    (cotangent, kernel), (of_cotangent, of_kernel), groups = args, axes, geometry.groups
    if of_kernel is None:
        return _with_more_images(bind, cotangent, of_cotangent, kernel, geometry)
    if of_cotangent is None:
        folded = _fold(kernel, of_kernel, _CHANNELS, 1)
    else:
        folded = _fold(kernel, of_kernel, _LAST, groups)
        geometry = geometry._replace(groups=groups * kernel.shape[of_kernel])
    out = bind(_fold(cotangent, of_cotangent, _LAST, groups), folded, geometry=geometry)
    return _unfold(out, kernel.shape[of_kernel], _LAST, groups), 0


def to_kernel(bind: Callable, args, axes, *, geometry: Geometry) -> tuple[Array, int]:
    """Map the gradient to the kernel: more channels, more filters, or more groups."""
    (x, cotangent), (of_x, of_cotangent), groups = args, axes, geometry.groups
    size = x.shape[of_x] if of_cotangent is None else cotangent.shape[of_cotangent]
    if of_x is not None and of_cotangent is not None:
        geometry = geometry._replace(groups=groups * size)
    out = bind(_fold(x, of_x, _LAST, groups), _fold(cotangent, of_cotangent, _LAST, groups),
               geometry=geometry)  # fmt: skip
    if of_cotangent is None:
        return _unfold(out, size, _CHANNELS, 1), 0
    return _unfold(out, size, _LAST, groups), 0


def _with_more_images(
    bind: Callable, images: Array, mapped: int, kernel: Array, geometry: Geometry
) -> tuple[Array, int]:
    out = bind(_fold(images, mapped, _IMAGES, 1), kernel, geometry=geometry)
    return _unfold(out, images.shape[mapped], _IMAGES, 1), 0


def _fold(a: Array, mapped: int | None, axis: int, groups: int) -> Array:
    """Put a mapped axis into another, within its groups; leave what is not mapped."""
    if mapped is None:
        return a
    size, a = a.shape[mapped], jnp.moveaxis(a, mapped, 0)
    *before, n = a.shape[1 : axis + 2]
    a = a.reshape(size, *before, groups, n // groups, *a.shape[axis + 2 :])
    a = jnp.moveaxis(a, 0, axis + 1)
    return a.reshape(*before, size * n, *a.shape[axis + 3 :])


def _unfold(a: Array, size: int, axis: int, groups: int) -> Array:
    """Take a mapped axis out of another again, to the front."""
    *before, n = a.shape[: axis + 1]
    within, after = n // (groups * size), a.shape[axis + 1 :]
    a = a.reshape(*before, groups, size, within, *after)
    return jnp.moveaxis(a, axis + 1, 0).reshape(size, *before, groups * within, *after)
