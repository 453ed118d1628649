"""Figures of a transform: how much lies outside, how it scales, how far it is from the identity.

They are of one example, differentiable, and finite where a homography reads at infinity.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import Size, shape_of, widened
from attn_jax.ops.grids import mesh
from attn_jax.ops.transforms.algebra import determinant_of
from attn_jax.ops.transforms.form import Transform

# Farther places count as this far: from there no sampler reads a pixel with zeros or a fill.
_FAR = 16.0
_CELLS = 16  # a side: over them the local Jacobian of a spline is averaged


class Figures(NamedTuple):
    """The figures of one transform; each is [].

    Attributes:
      outside: the fraction of the places read that lie outside the image.
      scale: |determinant|^(1/rank); below 1 it zooms in.
      determinant: of the linear part; negative if it mirrors.
      distance: `distance_from_identity`.
    """

    outside: Array
    scale: Array
    determinant: Array
    distance: Array


def figures(transform: Transform, where: Array, size: Size | tuple[int, int, int]) -> Figures:
    """Measure a transform as it reads an output of a size.

    Args:
      transform: the family.
      where: one of them, of `transform.apply`.
      size: of the output, as `Transform.extent` takes it.

    Raises:
      ValueError, TypeError: as `Transform.grid` does.

    >>> from attn_jax.ops.transforms import isotropic
    >>> zoom = isotropic()
    >>> found = figures(zoom, zoom.apply(jnp.array([2.0, 0.0, 0.0])), 4)
    >>> found.outside.item(), found.scale.item(), found.determinant.item()
    (0.75, 2.0, 4.0)
    """
    grid = transform.grid(where, size)
    area = determinant(transform, where)
    return Figures(outside(grid), _root(area, transform.rank), area, distance_from_identity(grid))


def outside(grid: Float[Array, "*n d"]) -> Float[Array, ""]:
    """Compute the fraction of places that lie outside the image, which spans [-1, 1].

    It is piecewise constant, with gradient 0. Places at infinity, and those that are NaN, are
    outside.

    Args:
      grid: the places read, (x, y) or (x, y, z).

    >>> outside(jnp.array([[0.0, 1.0], [0.0, 1.1]])).item()
    0.5
    """
    inside = (jnp.abs(widened("grid", grid)) <= 1).all(-1)
    return 1 - inside.mean()


def distance_from_identity(
    grid: Float[Array, "h w 2"] | Float[Array, "d h w 3"], *, align_corners: bool = False
) -> Float[Array, ""]:
    """Compute how far places are moved: the root of the mean of |S_i - (x_i, y_i)|^2.

    Half an image's width is 1, so that transforms of all tags can be compared. Coordinates beyond
    +-16, and infinite ones, count as +-16. At the identity its gradient is 0.

    Args:
      grid: the places read, of `Transform.grid`.
      align_corners: of the grid.

    Raises:
      ValueError: if it is neither [h, w, 2] nor [d, h, w, 3].
      TypeError: if it is not floating point.

    >>> from attn_jax.ops.transforms import translation
    >>> move = translation()
    >>> distance_from_identity(move.grid(move.apply(jnp.array([0.3, 0.4])), 4)).round(6).item()
    0.5
    """
    *size, last = shape_of(grid)
    if last != len(size) or last not in (2, 3):
        raise ValueError(f"grid must be [h, w, 2] or [d, h, w, 3]; got {shape_of(grid)}")
    wide = widened("grid", grid)
    axes = mesh(tuple(size), align_corners, wide.dtype)
    still = jnp.stack(jnp.broadcast_arrays(*axes), -1)
    return _root(((jnp.clip(wide, -_FAR, _FAR) - still) ** 2).sum(-1).mean(), 2)


def determinant(transform: Transform, where: Array) -> Float[Array, ""]:
    """Compute by how much a transform scales areas, or volumes; negative if it mirrors.

    Of theta it is the determinant of the linear part, of a homography that of its Jacobian at the
    centre of the output, inf if the centre is on the horizon; of a spline it is the local
    Jacobian's mean over the output.

    Args:
      transform: the family.
      where: one of them, of `transform.apply`.

    Raises:
      ValueError: for another shape.

    >>> from attn_jax.ops.transforms import axis_aligned
    >>> boxes = axis_aligned()
    >>> determinant(boxes, boxes.apply(jnp.array([2.0, -0.25, 0.0, 0.0]))).item()
    -0.5
    """
    transform.check(where)
    wide = widened("where", where)
    if transform.gives == "theta":
        return determinant_of(wide[:, : transform.rank])
    if transform.gives == "homography":
        centre = wide[2, 2] ** 3
        known = centre != 0
        # Replaced before the division: its gradient would be NaN.
        return jnp.where(known, determinant_of(wide) / jnp.where(known, centre, 1), jnp.inf)
    grid = transform.grid(wide, _CELLS + 1, align_corners=True)
    (a, b), (c, d) = (jnp.moveaxis(one, -1, 0) for one in _diagonals(grid))
    return (a * d - b * c).mean() / 2 * (_CELLS / 2) ** 2


def scale(transform: Transform, where: Array) -> Float[Array, ""]:
    """Compute the mean scale of a transform, |determinant|^(1/rank); below 1 it zooms in.

    Arguments and errors are those of `determinant`.

    >>> from attn_jax.ops.transforms import axis_aligned
    >>> boxes = axis_aligned()
    >>> scale(boxes, boxes.apply(jnp.array([2.0, 0.5, 0.0, 0.0]))).item()
    1.0
    """
    return _root(determinant(transform, where), transform.rank)


def _diagonals(grid: Array) -> tuple[Array, Array]:
    """The two diagonals of each cell between four places: half their cross product is its area."""
    return grid[1:, 1:] - grid[:-1, :-1], grid[1:, :-1] - grid[:-1, 1:]


def _root(x: Array, degree: int) -> Array:
    """|x|^(1/degree), with gradient 0 at 0."""
    size = jnp.abs(x)
    safe = jnp.where(size > 0, size, 1)
    return jnp.where(size > 0, jnp.sqrt(safe) if degree == 2 else jnp.cbrt(safe), size)
