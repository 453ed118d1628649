"""Reading an image at real-valued places."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.grids import to_pixels

_MODES = ("bilinear",)
_PADDINGS = ("zeros",)


def grid_sample(
    image: Float[Array, "H W C"],
    grid: Float[Array, "*n 2"],
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> Float[Array, "*n C"]:
    """out_i = sum_uv in[v, u] max(0, 1 - |x_i - u|) max(0, 1 - |y_i - v|)  (Jaderberg 2015, eq. 5).

    Args:
      image: the input.
      grid: (x, y) in [-1, 1] for each place to read; anything outside is allowed.
      mode: "bilinear".
      padding: "zeros", what lies outside the image.
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

    Returns:
      The image at the grid's places, in the image's dtype; coordinates and weights are
      computed in at least float32.

    Raises:
      ValueError: for a wrong rank, a grid whose last axis is not 2, an unknown mode or padding.
      TypeError: for an integer image.

    >>> image = jnp.arange(4.0).reshape(2, 2, 1)
    >>> grid_sample(image, jnp.array([0.0, 0.0])).tolist()  # between all four
    [1.5]
    """
    _check(image, grid, mode, padding)
    height, width, _ = image.shape
    wide = jnp.promote_types(jnp.promote_types(image.dtype, grid.dtype), jnp.float32)
    # Held just outside: of a coordinate that overflows, the gradient would be NaN.
    x = jnp.clip(to_pixels(grid[..., 0].astype(wide), width, align_corners), -2, width + 1)
    y = jnp.clip(to_pixels(grid[..., 1].astype(wide), height, align_corners), -2, height + 1)
    left, top = jnp.floor(x), jnp.floor(y)
    out = jnp.zeros((), wide)
    for u in (left, left + 1):
        for v in (top, top + 1):
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            row = jnp.clip(v, 0, height - 1).astype(jnp.int32)
            column = jnp.clip(u, 0, width - 1).astype(jnp.int32)
            weight = jnp.where(inside, (1 - jnp.abs(x - u)) * (1 - jnp.abs(y - v)), 0.0)
            out = out + weight[..., None] * image[row, column].astype(wide)
    return out.astype(image.dtype)


def _check(image: Array, grid: Array, mode: str, padding: str) -> None:
    if image.ndim != 3:
        raise ValueError(f"image must be [H, W, C]; got shape {image.shape}")
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise TypeError(f"image must be floating point; got {image.dtype}")
    if grid.ndim < 1 or grid.shape[-1] != 2:
        raise ValueError(f"grid must be [..., 2], the last axis (x, y); got shape {grid.shape}")
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {_MODES}; got {mode!r}")
    if padding not in _PADDINGS:
        raise ValueError(f"padding must be one of {_PADDINGS}; got {padding!r}")
