"""Grids of sampling places, and the one conversion between coordinates and pixels."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def to_pixels(coordinate: Array, size: int, align_corners: bool = False) -> Array:
    """The pixel position of a coordinate in [-1, 1] on an axis of `size` pixels.

    align_corners=False: ((x + 1) size - 1) / 2, so that +-1 are the outer edges of the border
    pixels; True: (x + 1) (size - 1) / 2, so that they are the border pixels' centres.

    >>> to_pixels(jnp.array([-1.0, 0.0, 1.0]), 4).tolist()
    [-0.5, 1.5, 3.5]
    """
    if align_corners:
        return (coordinate + 1) * ((size - 1) / 2)
    return ((coordinate + 1) * size - 1) / 2


def axis_coordinates(size: int, align_corners: bool = False) -> Float[Array, "n"]:
    """The coordinates in [-1, 1] of the pixel centres of an axis: the inverse of `to_pixels`.

    >>> axis_coordinates(4).tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    pixel = jnp.arange(size, dtype=jnp.float32)
    if align_corners:
        return 2 * pixel / max(size - 1, 1) - 1 if size > 1 else jnp.zeros(1)
    return (2 * pixel + 1) / size - 1


def affine_grid(
    theta: Float[Array, "2 3"], size: tuple[int, int], *, align_corners: bool = False
) -> Float[Array, "h w 2"]:
    """Where an affine transform reads: S_i = theta (x_i, y_i, 1)^T  (Jaderberg et al. 2015, eq. 1).

    Args:
      theta: A, rows for x and y, from output to input coordinates in [-1, 1].
      size: (h, w) of the output.
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

    Returns:
      The grid of (x, y), at least float32.

    Raises:
      ValueError: if theta is not [2, 3] or a size is below 1.

    >>> affine_grid(jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), (2, 2))[0].tolist()
    [[-0.5, -0.5], [0.5, -0.5]]
    """
    if theta.shape != (2, 3):
        raise ValueError(f"theta must have shape (2, 3); got {theta.shape}")
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be (h, w) of at least 1; got {size}")
    theta = theta.astype(jnp.promote_types(theta.dtype, jnp.float32))
    x = axis_coordinates(width, align_corners)[None, :, None]
    y = axis_coordinates(height, align_corners)[:, None, None]
    along_x, along_y, shift = theta.T[:, None, None]
    # A sum of products, not a matrix product: matrix units would round coordinates to bfloat16.
    return along_x * x + along_y * y + shift
