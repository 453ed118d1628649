"""Weighted windows of an image: the value, and its derivatives by image and place.

out_i = sum_k w_k(p_i) image[first_i + k], over the K^d taps of a separable kernel.

The value gathers pixel by pixel, with no copy of the image. The tangent of the image is the same
sum, computed by one gather of whole windows from the padded image, so that its transpose is one
scatter. The tangent of the place sums the pixels again with the weights of one axis differentiated,
and never scatters. An argument that is not differentiated costs nothing.
"""

from collections.abc import Callable
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.experimental import jet

from attn_jax.ops.kernels import Kernel, first_and_fraction
from attn_jax.ops.padding import Boundary

# A sum over few channels is several times as fast on a CPU when it is written out.
_FEW_CHANNELS = 4
_COUNTED = 2**31 - 1  # by int32, in which pixels are numbered
Taps = list[Array]  # [n] each, of one axis


def sample_windows(boundary: Boundary, image: Array, fill: Array, place: Array) -> Array:
    """Sample an image at places that `Boundary.bounded_place` has made.

    Args:
      boundary: the kernel and the padding.
      image: [*size, C] of d axes and channels.
      fill: [] or [C], for padding "constant"; for "zeros" it is 0.
      place: [n, d], in pixels, axes in the image's order.

    Returns:
      [n, C].

    Raises:
      NotImplementedError: for Taylor coefficients of a kernel that has none.
    """
    # JAX's jet ignores derivatives of one's own, and does not get past them (JAX 0.10).
    if not _is_in_jet(image, fill, place):
        return _sample_windows(boundary, image, fill, place)
    if not boundary.kernel.taylor:
        raise NotImplementedError("jet of mode='lanczos3': JAX's sinc has no Taylor coefficients")
    return _values(boundary, image, fill, place, _part_of_jet)


def _is_in_jet(*args: Array) -> bool:
    """Whether Taylor coefficients are being computed, also around a vmap or a derivative."""
    traces = {x._trace for x in args if isinstance(x, jax.core.Tracer)}
    while traces:
        if any(isinstance(trace, jet.JetTrace) for trace in traces):
            return True
        traces = {t.parent_trace for t in traces if hasattr(t, "parent_trace")}
    return False


def _values(boundary: Boundary, image: Array, fill: Array, place: Array, part: Callable) -> Array:
    first, weights, _ = _taps(boundary.kernel, place)
    return _contract(_pixels(boundary, image, fill, first), weights, part)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sample_windows(boundary: Boundary, image: Array, fill: Array, place: Array) -> Array:
    return _values(boundary, image, fill, place, _part)


@partial(_sample_windows.defjvp, symbolic_zeros=True)
def _sample_windows_jvp(boundary, primals, tangents):
    image, fill, place = primals
    image_dot, fill_dot, place_dot = tangents
    first, weights, slopes = _taps(boundary.kernel, place)
    pixels = _pixels(boundary, image, fill, first)
    out = _contract(pixels, weights, _part)
    out_dot = jnp.zeros_like(out)
    if not (isinstance(image_dot, SymbolicZero) and isinstance(fill_dot, SymbolicZero)):
        out_dot = _linear(boundary, _dense(image_dot), _dense(fill_dot), first, weights)
    if slopes and not isinstance(place_dot, SymbolicZero):
        along = [
            _contract(pixels, [*weights[:axis], slope, *weights[axis + 1 :]], _part)
            for axis, slope in enumerate(slopes)
        ]
        out_dot = out_dot + _along(along, place_dot)
    return out, out_dot


def _dense(tangent: Array | SymbolicZero) -> Array:
    if isinstance(tangent, SymbolicZero):
        return jnp.zeros(tangent.aval.shape, tangent.aval.dtype)
    return tangent


def _taps(kernel: Kernel, place: Array) -> tuple[Taps, list[Taps], list[Taps]]:
    """Compute for each axis the first pixel read, the taps' weights, and their derivatives by t."""
    first, weights, slopes = [], [], []
    for axis in range(place.shape[1]):
        pixel, t = first_and_fraction(kernel, place[:, axis])
        first.append(pixel)
        if kernel.weights is not None:
            of_axis, slope = jax.jvp(kernel.weights, (t,), (jnp.ones_like(t),))
            weights.append(of_axis)
            slopes.append(slope)
    return first, weights, slopes


def _pixels(boundary: Boundary, image: Array, fill: Array, first: Taps) -> dict[tuple, Array]:
    """Gather the pixels [n, C] of each tap, by its index (k_1, ..., k_d)."""
    found: dict[tuple, tuple] = {(): ((), None)}
    for pixel, size in zip(first, image.shape[:-1], strict=True):
        taps = [boundary.pixel(pixel + k, size) for k in range(boundary.kernel.taps)]
        found = {
            (*key, k): ((*index, column), _both(inside, here))
            for key, (index, inside) in found.items()
            for k, (column, here) in enumerate(taps)
        }
    return {key: _read(image, fill, index, inside) for key, (index, inside) in found.items()}


def _both(a: Array | None, b: Array | None) -> Array | None:
    return b if a is None else a if b is None else a & b


def _read(image: Array, fill: Array, index: tuple[Array, ...], inside: Array | None) -> Array:
    """Gather pixels by one number each, which is faster, where int32 counts them all."""
    *sizes, channels = image.shape
    if prod(sizes) <= _COUNTED:
        flat = index[0]
        for column, size in zip(index[1:], sizes[1:], strict=True):
            flat = flat * size + column
        image, index = image.reshape(-1, channels), (flat,)
    read = image.at[index].get(mode="promise_in_bounds")
    return read if inside is None else jnp.where(inside[:, None], read, fill)


def _windows(image: Array, first: Taps, taps: int) -> Array:
    """Gather whole windows, [n, K, ..., K, C], at once."""
    d = len(first)
    numbers = lax.GatherDimensionNumbers(tuple(range(1, d + 2)), (), tuple(range(d)))
    sizes = (taps,) * d + image.shape[-1:]
    return lax.gather(image, jnp.stack(first, -1), numbers, sizes, mode="promise_in_bounds")


def _rows(image: Array, first: list[Array], taps: int) -> Array:
    """Gather the windows as K^(d-1) contiguous runs of the flattened image: faster to scatter."""
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


def _linear(
    boundary: Boundary, image: Array, fill: Array, first: Taps, weights: list[Taps]
) -> Array:
    """Compute the sum by a gather, a product and a reduction.

    The transpose is then a product and a scatter.
    """
    taps, d = boundary.kernel.taps, len(first)
    first = [
        pixel + boundary.margins(size)[0]
        for pixel, size in zip(first, image.shape[:-1], strict=True)
    ]
    padded = boundary.pad(image, fill)
    gather = _windows if image.shape[-1] == 1 or padded.size > _COUNTED else _rows
    windows = gather(padded, first, taps)
    for axis, of_axis in enumerate(weights):
        shape = [len(first[0])] + [1] * (d + 1)
        shape[axis + 1] = taps
        windows = windows * jnp.stack(of_axis, -1).reshape(shape)
    return windows.sum(tuple(range(1, d + 1)))


def _contract(pixels: dict[tuple, Array], weights: list[Taps], part: Callable) -> Array:
    """Sum w_k pixels_k axis by axis, the last first; written out, so that XLA makes one loop."""
    for of_axis in reversed(weights):
        sums: dict[tuple, Array] = {}
        for (*key, k), pixel in pixels.items():
            weighed = part(of_axis[k][:, None], pixel)
            sums[tuple(key)] = sums[tuple(key)] + weighed if k else weighed
        pixels = sums
    (out,) = pixels.values()
    return out


@jax.custom_jvp
def _part(weight: Array, pixel: Array) -> Array:
    """Weigh a pixel; what has weight 0 contributes nothing, also if it is not finite."""
    # -0 changes no sum, not even another -0; with 0, XLA would merge this with the choice of zeros
    # outside the image, and round derivatives of lanczos3 worse.
    return weight * jnp.where(weight == 0, -0.0, pixel)


@_part.defjvp
def _part_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """Differentiate by the weight as if it were not 0."""
    (weight, pixel), (weight_dot, pixel_dot) = primals, tangents
    return _part(weight, pixel), weight_dot * pixel + _part(weight, pixel_dot)


def _part_of_jet(weight: Array, pixel: Array) -> Array:
    """Compute `_part`, more slowly, without a derivative of its own."""
    return weight * jnp.where((weight == 0) & ~jnp.isfinite(pixel), 0, pixel)


def _along(along: list[Array], place_dot: Array) -> Array:
    """Sum the derivatives [n, C] of each axis times its tangent [n]."""
    channels = along[0].shape[-1]
    if not 1 <= channels <= _FEW_CHANNELS:
        parts = [slope * place_dot[:, axis, None] for axis, slope in enumerate(along)]
        return sum(parts[1:], parts[0])
    columns = []
    for c in range(channels):
        parts = [slope[:, c] * place_dot[:, axis] for axis, slope in enumerate(along)]
        columns.append(sum(parts[1:], parts[0]))
    return jnp.stack(columns, -1)
