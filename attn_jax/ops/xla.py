"""Sampling in XLA: any kernel, padding, dimension and device."""

import jax.numpy as jnp
from jax import Array

from attn_jax.ops.kernels import KERNELS
from attn_jax.ops.padding import Outside
from attn_jax.ops.windows import sample_windows


def sample(
    image: Array, grid: Array, fill: Array, mode: str, padding: str, align_corners: bool
) -> Array:
    """`grid_sample` of checked arguments, [*n, C] in the image's dtype.

    Args:
      image: [*size, C].
      grid: [*n, d], in the dtype to compute in.
      fill: [] or [C], in the same.
      mode, padding, align_corners: of `grid_sample`.
    """
    outside = Outside(padding, KERNELS[mode], align_corners)
    *sizes, channels = image.shape
    if channels == 0:
        return jnp.zeros((*grid.shape[:-1], 0), image.dtype)
    flat = grid.reshape(-1, len(sizes))[:, ::-1]  # x, y, z to the image's order of axes
    place = [outside.settle(flat[:, axis], size) for axis, size in enumerate(sizes)]
    # Widened in dtype before it is read, not after: gradients are summed wide.
    out = sample_windows(outside, image.astype(grid.dtype), fill, jnp.stack(place, -1))
    return out.reshape(*grid.shape[:-1], channels).astype(image.dtype)
