"""Sampling in XLA: any kernel, padding, dimension and device."""

import jax.numpy as jnp
from jax import Array

from attn_jax.ops.kernels import KERNELS
from attn_jax.ops.padding import Boundary
from attn_jax.ops.windows import sample_windows


def sample(
    image: Array, grid: Array, fill: Array, mode: str, padding: str, align_corners: bool
) -> Array:
    """Compute `grid_sample` of arguments that are checked already.

    Args:
      image: [*size, C].
      grid: [*n, d], in the dtype to compute in.
      fill: [] or [C], in the same dtype.
      mode, padding, align_corners: of `grid_sample`.

    Returns:
      [*n, C], in the image's dtype.
    """
    boundary = Boundary(padding, KERNELS[mode], align_corners)
    *sizes, channels = image.shape
    if channels == 0:
        return jnp.zeros((*grid.shape[:-1], 0), image.dtype)
    flat = grid.reshape(-1, len(sizes))[:, ::-1]  # x, y, z to the image's order of axes
    place = [boundary.bounded_place(flat[:, axis], size) for axis, size in enumerate(sizes)]
    # The image is widened in dtype before it is read, so that gradients are summed wide.
    out = sample_windows(boundary, image.astype(grid.dtype), fill, jnp.stack(place, -1))
    return out.reshape(*grid.shape[:-1], channels).astype(image.dtype)
