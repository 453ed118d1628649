"""Conversion of transforms between coordinates in [-1, 1] and pixels, as OpenCV counts them.

In pixels the centre of the first one is at 0 on each axis, and sizes of input and output may
differ. Both directions go from the output to the input, as theta does: OpenCV's `warpAffine` and
`warpPerspective` take such a matrix with the flag `WARP_INVERSE_MAP`, and without it that of the
other direction, `transforms.inverse(matrix)`.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import Precision
from jax.typing import ArrayLike
from jaxtyping import Float

from attn_jax.ops.common import shape_of, widened
from attn_jax.ops.grids import check_size

Matrix = Float[Array, "2 3"] | Float[Array, "3 4"] | Float[Array, "3 3"]


def to_pixel_matrix(
    where: Matrix,
    input_size: tuple[int, ...],
    output_size: tuple[int, ...],
    *,
    align_corners: bool = False,
) -> Matrix:
    """Convert a transform to the matrix that takes pixels of the output to pixels of the input.

    Args:
      where: theta [2, 3] or [3, 4], or a homography [3, 3], in coordinates in [-1, 1].
      input_size: (H, W) of the image that is read, or (D, H, W).
      output_size: (h, w) of what is made of it, or (d, h, w).
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

    Returns:
      The matrix on (x, y, 1) or (x, y, z, 1), of the same shape, at least float32.

    Raises:
      ValueError: for another shape, as that of control points, which no matrix describes; sizes
        that do not go with it or are below 1; an axis of one pixel with align_corners.
      TypeError: if `where` is not floating point.

    >>> half = jnp.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    >>> to_pixel_matrix(half, (8, 8), (4, 4)).tolist()  # its middle, pixel by pixel
    [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]]
    """
    into, out = _frames("where", where, input_size, output_size, align_corners)
    return _product(into, widened("where", where), np.linalg.inv(out))


def from_pixel_matrix(
    matrix: Matrix,
    input_size: tuple[int, ...],
    output_size: tuple[int, ...],
    *,
    align_corners: bool = False,
) -> Matrix:
    """Convert the matrix from pixels of the output to pixels of the input to a transform.

    Arguments and errors are those of `to_pixel_matrix`, of which it is the inverse.

    >>> middle = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
    >>> from_pixel_matrix(middle, (8, 8), (4, 4)).tolist()
    [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]
    """
    into, out = _frames("matrix", matrix, input_size, output_size, align_corners)
    return _product(np.linalg.inv(into), widened("matrix", matrix), out)


def _product(left: np.ndarray, matrix: Array, right: np.ndarray) -> Array:
    rows, columns = matrix.shape
    if rows < columns:  # theta: without its last row, (0, ..., 0, 1)
        matrix = jnp.concatenate([matrix, jnp.eye(columns, dtype=matrix.dtype)[rows:]])
    left, right = (jnp.asarray(one, matrix.dtype) for one in (left, right))
    whole = jnp.matmul(jnp.matmul(left, matrix, precision=Precision.HIGHEST), right,
                       precision=Precision.HIGHEST)  # fmt: skip
    return whole[:rows]


def _frames(
    name: str,
    matrix: ArrayLike,
    input_size: tuple[int, ...],
    output_size: tuple[int, ...],
    align_corners: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices that take coordinates in [-1, 1] to pixels, of the input and of the output."""
    shape = shape_of(matrix)
    if shape not in ((2, 3), (3, 3), (3, 4)):
        raise ValueError(
            f"{name} must be theta (2, 3) or (3, 4), or a homography (3, 3), which alone are "
            f"matrices in pixels too; got shape {shape}"
        )
    sizes = input_size, output_size
    for size in sizes:
        check_size(size, (shape[1] - 1,))
        if align_corners and 1 in size:
            raise ValueError(f"with align_corners every axis needs two pixels; got {size}")
    into, out = (_to_pixels(size, align_corners) for size in sizes)
    return into, out


def _to_pixels(size: tuple[int, ...], align_corners: bool) -> np.ndarray:
    """The matrix on (x, y, 1) that `to_pixels` is on each axis, in float64."""
    n = np.array(size[::-1], np.float64)
    matrix = np.diag([*((n - 1) / 2 if align_corners else n / 2), 1.0])
    matrix[:-1, -1] = (n - 1) / 2
    return matrix
