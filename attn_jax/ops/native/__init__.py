"""Bilinear sampling by native code on the CPU: one example [H, W, C]; batches come from `vmap`.

`preferred` tells whether this process uses it unasked, and `supports` what it can do; `sample` and
`affine` build it if it is not there. On other platforms the same functions go through XLA. A
library that is there is registered on import: programs that another process compiled need it.
"""

import os

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float

from attn_jax.ops.common import check_extent, promoted
from attn_jax.ops.native.formula import Spec
from attn_jax.ops.native.library import build, preferred, register_if_built
from attn_jax.ops.native.primitives import sample as _sample
from attn_jax.ops.padding import PADDINGS

__all__ = ["affine", "build", "preferred", "sample", "supports"]

if os.environ.get("ATTN_JAX_IMPLEMENTATION") != "xla":
    register_if_built()


def supports(mode: str, padding: str, ndim: int, dtype: DTypeLike) -> bool:
    """Whether native code samples this: images in float32 or float64, bilinearly."""
    wide = jnp.dtype(dtype) in (jnp.float32, jnp.float64)
    return mode == "bilinear" and padding in PADDINGS and ndim == 3 and wide


def sample(
    image: Float[Array, "H W C"],
    grid: Float[Array, "*n 2"],
    *,
    padding: str = "zeros",
    fill: ArrayLike = 0.0,
    align_corners: bool = False,
) -> Float[Array, "*n C"]:
    """Compute `grid_sample` by native code.

    Args:
      image: float32 or float64.
      grid, padding, fill, align_corners: of `grid_sample`, which checks them; they are not checked
        here.

    Returns:
      The image at the grid's places, in the image's dtype.

    Raises:
      ValueError: if an axis has more pixels than places can count.
      RuntimeError: if the library cannot be built or loaded.
    """
    return _call(image, grid, fill, Spec(padding, align_corners, None, grid.ndim - 1))


def affine(
    image: Float[Array, "H W C"],
    theta: Float[Array, "2 3"],
    size: tuple[int, int],
    *,
    padding: str = "zeros",
    fill: ArrayLike = 0.0,
    align_corners: bool = False,
) -> Float[Array, "h w C"]:
    """Compute `grid_sample` of an `affine_grid` by native code, without a grid in memory.

    Args:
      image, padding, fill, align_corners: of `sample`.
      theta: of `affine_grid`.
      size: (h, w) of the output.

    Returns:
      The transformed image, in the image's dtype.

    Raises:
      ValueError, RuntimeError: as `sample` does.
    """
    return _call(image, theta, fill, Spec(padding, align_corners, size, 2))


def _call(image: Array, where: Array, fill: ArrayLike, spec: Spec) -> Array:
    wide = promoted(image.dtype, where.dtype)
    for size in image.shape[:2]:
        check_extent(size, wide)
    fill = jnp.broadcast_to(jnp.asarray(fill, wide), image.shape[-1:])
    return _sample(image.astype(wide), where.astype(wide), fill, spec).astype(image.dtype)
