"""The convolution and its gradients as convolutions in the one form that XLA's CPU is fast at.

That form is NHWC images, HWIO kernels, NHWC results. XLA turns others into it, but not inside the
body of a loop: there the gradients of a `lax.conv` become naive loops.
Here the transposes, reversals and zeros between pixels are arrays of their own.
"""

import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.convolution import plain
from attn_jax.ops.convolution.geometry import Geometry

forward = plain.forward


def to_input(cotangent: Array, kernel: Array, geometry: Geometry) -> Array:
    """`plain.to_input`: a convolution of the spread cotangent with the kernel turned round."""
    edges = []
    for n, out, k, step, (before, _) in _axes(geometry):
        low = k - 1 - before
        edges.append((low, n + k - 2 - (out - 1) * step - low, step - 1))
    spread = lax.pad(cotangent, _zero(cotangent), ((0, 0, 0), *edges, (0, 0, 0)))
    kh, kw, channels, _ = kernel.shape
    turned = kernel[::-1, ::-1].reshape(kh, kw, channels, geometry.groups, -1)
    turned = turned.transpose(0, 1, 4, 3, 2).reshape(kh, kw, -1, geometry.groups * channels)
    return _convolve(spread, turned, geometry.groups)


def to_kernel(x: Array, cotangent: Array, geometry: Geometry) -> Array:
    """`plain.to_kernel`: a convolution with the images as channels, and the channels as images."""
    edges = []
    for n, out, k, step, (before, _) in _axes(geometry):
        edges.append((before, k + (out - 1) * step - n - before, 0))
    x = lax.pad(x, _zero(x), ((0, 0, 0), *edges, (0, 0, 0)))
    batch, rows, columns, _ = x.shape
    x = x.reshape(batch, rows, columns, geometry.groups, -1).transpose(4, 1, 2, 3, 0)
    x = x.reshape(-1, rows, columns, geometry.groups * batch)
    out = _convolve(x, cotangent.transpose(1, 2, 0, 3), geometry.groups, geometry.strides)
    return out.transpose(1, 2, 0, 3)


def _axes(geometry: Geometry):
    """(n, out, kernel, stride, padding) of the rows, then of the columns."""
    g = geometry
    return zip(g.size, g.out, g.kernel, g.strides, g.padding, strict=True)


def _zero(x: Array) -> Array:
    return jnp.zeros((), x.dtype)


def _convolve(x: Array, kernel: Array, groups: int, dilation: tuple[int, int] = (1, 1)) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "VALID",
        rhs_dilation=dilation,
        dimension_numbers=plain.LAYOUT,
        feature_group_count=groups,
    )
