"""Grids of sampling places, and the conversion between coordinates and pixels."""

from collections.abc import Sequence
from numbers import Integral

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from attn_jax.ops.common import check_extent, shape_of, widened


def to_pixels(coordinate: Array, size: int, align_corners: bool = False) -> Array:
    """Convert a coordinate to a position in pixels, on an axis of `size` pixels.

    With align_corners=False it is ((x + 1) size - 1) / 2, so that +-1 are the outer edges of the
    border pixels; with True it is (x + 1) (size - 1) / 2, so that they are their centres.

    Raises:
      ValueError: if the axis has more pixels than the coordinate's dtype can count.

    >>> to_pixels(jnp.array([-1.0, 0.0, 1.0]), 4).tolist()
    [-0.5, 1.5, 3.5]
    """
    check_extent(size, coordinate.dtype)
    if align_corners:
        return (coordinate + 1) * ((size - 1) / 2)
    return ((coordinate + 1) * size - 1) / 2


def centres(size: int, align_corners: bool) -> Float[np.ndarray, "n"]:
    """Compute `axis_coordinates` in float64 by NumPy: rounded once, they are symmetric about 0."""
    steps = size - 1 if align_corners else size
    return (2 * np.arange(size) + 1 - size) / max(steps, 1)


def axis_coordinates(
    size: int, align_corners: bool = False, *, dtype: np.typing.DTypeLike = jnp.float32
) -> Float[Array, "n"]:
    """The coordinates in [-1, 1] of an axis's pixel centres, which `to_pixels` takes to 0, 1, ...

    >>> axis_coordinates(4).tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    return jnp.asarray(centres(size, align_corners), dtype)


def check_size(size: tuple[int, ...], ranks: tuple[int, ...]) -> None:
    """Refuse a size unless it holds whole numbers of at least 1, as many as one of the ranks.

    Raises:
      ValueError: naming the possible forms.
    """
    names = " or ".join({2: "(h, w)", 3: "(d, h, w)"}[rank] for rank in ranks)
    fits = isinstance(size, Sequence) and len(size) in ranks
    if not fits or not all(isinstance(n, Integral) and n >= 1 for n in size):
        raise ValueError(f"size must be {names}, whole numbers of at least 1; got {size}")


def mesh(
    size: tuple[int, ...], align_corners: bool, dtype: np.typing.DTypeLike
) -> tuple[Array, ...]:
    """The coordinates of an output's places: x [1, w] and y [h, 1], or x, y, z of rank 3."""
    axes = (axis_coordinates(n, align_corners, dtype=dtype) for n in size)
    return tuple(reversed(jnp.meshgrid(*axes, indexing="ij", sparse=True)))


def checked_theta(theta: ArrayLike, size: tuple[int, ...]) -> Array:
    """Check theta against the size, and return it in at least float32.

    Raises:
      ValueError, TypeError: as `affine_grid` does.
    """
    check_size(size, (2, 3))
    expected = (len(size), len(size) + 1)
    if shape_of(theta) != expected:
        raise ValueError(
            f"theta must have shape {expected} for a size of {len(size)} axes; "
            f"got {shape_of(theta)}"
        )
    return widened("theta", theta)


def affine_grid(
    theta: Float[Array, "2 3"] | Float[Array, "3 4"],
    size: tuple[int, ...],
    *,
    align_corners: bool = False,
) -> Float[Array, "h w 2"] | Float[Array, "d h w 3"]:
    """Compute where an affine transform reads: S_i = theta (x_i, y_i, 1)^T.

    Args:
      theta: rows for x and y (and z), from output to input coordinates in [-1, 1].
      size: (h, w) of the output for theta [2, 3], (d, h, w) for theta [3, 4].
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

    Returns:
      The grid of (x, y) or (x, y, z), at least float32. An axis of one pixel has its place at 0.

    Raises:
      ValueError: if theta is not [2, 3] or [3, 4] to go with the size, or a size is below 1.
      TypeError: if theta is not floating point.

    Reference: Jaderberg et al. 2015, eq. 1.

    >>> affine_grid(jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), (2, 2))[0].tolist()
    [[-0.5, -0.5], [0.5, -0.5]]
    >>> affine_grid(jnp.eye(3, 4), (2, 2, 2))[0, 0, 1].tolist()
    [0.5, -0.5, -0.5]
    """
    theta = checked_theta(theta, size)
    axes = mesh(size, align_corners, theta.dtype)
    places = jnp.stack(jnp.broadcast_arrays(*axes, jnp.ones(size, theta.dtype)), -1)
    # A matrix product: XLA would compute sums of products again in each of a sampler's loops. At
    # less than the highest precision a matrix unit would round coordinates to bfloat16.
    return jnp.tensordot(places, theta.T, 1, precision=jax.lax.Precision.HIGHEST)
