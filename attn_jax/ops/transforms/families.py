"""Families of affine transforms: theta is made of a short vector."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.transforms.form import Transform, checked_vector


@runtime_checkable
class MakeRows(Protocol):
    """Makes the rows of theta of the entries of a vector."""

    def __call__(self, *entries: Array) -> Sequence: ...


def _transform(identity: Sequence[float], rows: MakeRows, rank: int = 2) -> Transform:
    size = len(identity)

    def apply(vector: Float[Array, "n"]) -> Float[Array, "rows columns"]:
        return jnp.array(rows(*checked_vector(vector, size)))

    with jax.ensure_compile_time_eval():  # a family may be made while tracing
        start = jnp.array(identity, jnp.float32)
    return Transform(apply, start, size, rank=rank)


def translation(scale: float = 1.0) -> Transform:
    """Translations at a fixed scale s: (t_x, t_y) -> [s 0 t_x; 0 s t_y].

    Args:
      scale: s, not 0; below 1 it zooms in. At another one than 1 no vector gives the identity, and
        `identity` is the vector without a shift.

    Raises:
      ValueError: if the scale is 0 or not finite.

    >>> translation(0.5).apply(jnp.array([0.5, -0.5])).tolist()
    [[0.5, 0.0, 0.5], [0.0, 0.5, -0.5]]
    """
    if not 0 < abs(scale) < math.inf:
        raise ValueError(f"scale must be a finite number other than 0; got {scale}")
    return _transform((0, 0), lambda x, y: [[scale, 0, x], [0, scale, y]])


def rotation() -> Transform:
    """Rotations about the centre: a, in radians -> [cos a, -sin a, 0; sin a, cos a, 0].

    The direction is that of `similarity`.

    >>> rotation().apply(jnp.array([jnp.pi / 2])).round(5).tolist()
    [[-0.0, -1.0, 0.0], [1.0, -0.0, 0.0]]
    """

    def rows(angle: Array) -> Sequence:
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        return [[cosine, -sine, 0], [sine, cosine, 0]]

    return _transform((0,), rows)


def isotropic() -> Transform:
    """Scalings and translations: (s, t_x, t_y) -> [s 0 t_x; 0 s t_y]  (Jaderberg 2015, eq. 3).

    >>> isotropic().apply(jnp.array([2.0, 0.0, 0.0])).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """
    return _transform((1, 0, 0), lambda s, x, y: [[s, 0, x], [0, s, y]])


def similarity() -> Transform:
    """Similarities: (s, a, t_x, t_y) -> [s cos a, -s sin a, t_x; s sin a, s cos a, t_y].

    The angle a is in radians. As y points down, a positive one turns the region that is read
    clockwise, and so the output counterclockwise.

    >>> similarity().apply(jnp.array([2.0, jnp.pi / 2, 0.0, 0.0])).round(5).tolist()
    [[-0.0, -2.0, 0.0], [2.0, -0.0, 0.0]]
    """

    def rows(s: Array, angle: Array, x: Array, y: Array) -> Sequence:
        cosine, sine = s * jnp.cos(angle), s * jnp.sin(angle)
        return [[cosine, -sine, x], [sine, cosine, y]]

    return _transform((1, 0, 0, 0), rows)


def axis_aligned() -> Transform:
    """Boxes along the axes: (s_x, s_y, t_x, t_y) -> [s_x 0 t_x; 0 s_y t_y].

    >>> axis_aligned().apply(jnp.array([2.0, 3.0, 0.0, 0.5])).tolist()
    [[2.0, 0.0, 0.0], [0.0, 3.0, 0.5]]
    """
    return _transform((1, 1, 0, 0), lambda s, t, x, y: [[s, 0, x], [0, t, y]])


def full_affine() -> Transform:
    """All affine transforms: the six entries of theta, row by row.

    >>> full_affine().apply(jnp.arange(6.0)).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    return _transform((1, 0, 0, 0, 1, 0), lambda a, b, x, c, d, y: [[a, b, x], [c, d, y]])


def affine_3d() -> Transform:
    """All affine transforms of volumes: the twelve entries of theta [3, 4], row by row.

    >>> affine_3d().apply(jnp.arange(12.0)).shape
    (3, 4)
    """
    identity = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    return _transform(identity, lambda *v: [v[:4], v[4:8], v[8:]], rank=3)
