"""Weighted windows of an image: the value, and its derivatives to image and place.

out_i = sum_k w_k(p_i) image[first_i + k], over the K^d taps of a separable kernel. Its tangent to
the image is the same sum, linear in the image: one gather of windows, whose transpose is one
scatter. Its tangent to the place is a sum over the same windows with one axis's weights
differentiated: neither it nor its transpose scatters.
"""

from functools import partial
from math import prod

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from attn_jax.ops.kernels import Kernel, first_and_fraction

# A sum over few channels is several times as fast on a CPU when it is written out.
_FEW_CHANNELS = 4


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def sample_windows(kernel: Kernel, before: tuple[int, ...], image: Array, place: Array) -> Array:
    """Read a widened image at settled places.

    Args:
      kernel: of the mode.
      before: d margins, how many pixels precede the image's own on each axis.
      image: [*n, C] with d leading axes, margins included.
      place: [n, d], in pixels of the image without its margins, axes in the image's order.

    Returns:
      [n, C].
    """
    first, weights, _ = _taps(kernel, before, place)
    return _contract(_windows(image, first, kernel.taps), weights)


@partial(sample_windows.defjvp, symbolic_zeros=True)
def _sample_windows_jvp(kernel, before, primals, tangents):
    image, place = primals
    image_dot, place_dot = tangents
    first, weights, slopes = _taps(kernel, before, place)
    windows = _windows(image, first, kernel.taps)
    out = _contract(windows, weights)
    out_dot = jnp.zeros_like(out)
    if not isinstance(image_dot, SymbolicZero):
        out_dot = _linear(image_dot, first, weights)
    if slopes and not isinstance(place_dot, SymbolicZero):
        along = [
            _contract(windows, [*weights[:axis], slope, *weights[axis + 1 :]])
            for axis, slope in enumerate(slopes)
        ]
        out_dot = out_dot + _along(along, place_dot)
    return out, out_dot


def _taps(
    kernel: Kernel, before: tuple[int, ...], place: Array
) -> tuple[list[Array], list[list[Array]], list[list[Array]]]:
    """For each axis the first pixel read, the taps' weights, and the weights' slopes."""
    first, weights, slopes = [], [], []
    for axis, margin in enumerate(before):
        pixel, t = first_and_fraction(kernel, place[:, axis])
        first.append(pixel + margin)
        if kernel.weights is not None:
            of_axis, slope = jax.jvp(kernel.weights, (t,), (jnp.ones_like(t),))
            weights.append(of_axis)
            slopes.append(slope)
    return first, weights, slopes


def _windows(image: Array, first: list[Array], taps: int) -> Array:
    """[n, K, ..., K, C]: one gather of whole windows."""
    d = len(first)
    offsets = tuple(range(1, d + 2))
    numbers = lax.GatherDimensionNumbers(offsets, (), tuple(range(d)))
    sizes = (taps,) * d + image.shape[-1:]
    # In bounds as `settle` and `margins` agree: a test holds them together.
    return lax.gather(image, jnp.stack(first, -1), numbers, sizes, mode="promise_in_bounds")


def _rows(image: Array, first: list[Array], taps: int) -> Array:
    """The same, as K^(d-1) contiguous runs of the flattened image: faster to scatter."""
    *shape, channels = image.shape
    start = jnp.zeros((first[0].shape[0], *(1,) * (len(first) - 1)), jnp.int32)
    for axis, pixel in enumerate(first):
        pixel = pixel.reshape(-1, *(1,) * (len(first) - 1))
        if axis < len(first) - 1:
            step = [1] * len(first)
            step[axis + 1] = taps
            pixel = pixel + jnp.arange(taps, dtype=jnp.int32).reshape(step)
        start = start + pixel * prod(shape[axis + 1 :]) * channels
    numbers = lax.GatherDimensionNumbers((start.ndim,), (), (0,))
    runs = lax.gather(
        image.reshape(-1), start[..., None], numbers, (taps * channels,), mode="promise_in_bounds"
    )
    return runs.reshape(*runs.shape[:-1], taps, channels)


def _linear(image: Array, first: list[Array], weights: list[list[Array]]) -> Array:
    """The sum as a product and a reduction: the transpose is a product and one scatter."""
    taps = len(weights[0]) if weights else 1
    gather = _windows if image.shape[-1] == 1 else _rows
    windows = gather(image, first, taps)
    for axis, of_axis in enumerate(weights):
        shape = [len(first[0])] + [1] * (len(first) + 1)
        shape[axis + 1] = taps
        windows = windows * jnp.stack(of_axis, -1).reshape(shape)
    return windows.sum(tuple(range(1, len(first) + 1)))


def _contract(windows: Array, weights: list[list[Array]]) -> Array:
    """sum_k w_k windows_k over all axes, the last first, written out so that it is one loop."""
    if windows.ndim == 2:
        return windows
    taps = [lax.index_in_dim(windows, k, 1, keepdims=False) for k in range(windows.shape[1])]
    if not weights:
        return _contract(taps[0], weights)
    parts = [
        weight[:, None] * _contract(tap, weights[1:])
        for weight, tap in zip(weights[0], taps, strict=True)
    ]
    return sum(parts[1:], parts[0])


def _along(along: list[Array], place_dot: Array) -> Array:
    """sum over axes of derivative [n, C] times tangent [n]."""
    channels = along[0].shape[-1]
    if not 1 <= channels <= _FEW_CHANNELS:
        parts = [slope * place_dot[:, axis, None] for axis, slope in enumerate(along)]
        return sum(parts[1:], parts[0])
    columns = []
    for c in range(channels):
        parts = [slope[:, c] * place_dot[:, axis] for axis, slope in enumerate(along)]
        columns.append(sum(parts[1:], parts[0]))
    return jnp.stack(columns, -1)
