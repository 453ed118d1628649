"""Constrained transforms, whose theta is made of a short vector; composition and inversion.

A theta takes output coordinates to input coordinates, as in `affine_grid`. Coordinates are in
[-1, 1] on both axes, so that a rotation keeps squares square only if the image is square.

>>> attention = isotropic()
>>> attention.apply(jnp.array([0.5, 0.25, 0.0])).tolist()
[[0.5, 0.0, 0.25], [0.0, 0.5, 0.0]]
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array
from jax.lax import Precision
from jaxtyping import Float

from attn_jax.ops.common import check_invertible, is_singular, shape_of, widened


@runtime_checkable
class MakeTheta(Protocol):
    """Makes theta [2, 3] of a vector [n]."""

    def __call__(self, vector: Array, /) -> Array: ...


@runtime_checkable
class MakeRows(Protocol):
    """Makes the two rows of theta of the entries of a vector."""

    def __call__(self, *entries: Array) -> Sequence: ...


class Transform(NamedTuple):
    """A family of transforms, and how a vector names one of them.

    Attributes:
      apply: vector [size] -> theta [2, 3], at least float32.
      identity: [size], the vector whose theta is the identity.
      size: of the vector.
    """

    apply: MakeTheta
    identity: Array
    size: int


def _transform(identity: Sequence[float], rows: MakeRows) -> Transform:
    size = len(identity)

    def apply(vector: Float[Array, "n"]) -> Float[Array, "2 3"]:
        if shape_of(vector) != (size,):
            raise ValueError(f"vector must have shape {(size,)}; got {shape_of(vector)}")
        return jnp.array(rows(*widened("vector", vector)))

    return Transform(apply, jnp.array(identity, jnp.float32), size)


def translation() -> Transform:
    """Translations: (t_x, t_y) -> [1 0 t_x; 0 1 t_y].

    >>> translation().apply(jnp.array([0.5, -0.5])).tolist()
    [[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]]
    """
    return _transform((0, 0), lambda x, y: [[1, 0, x], [0, 1, y]])


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


Theta = Float[Array, "2 3"] | Float[Array, "3 4"]


def compose(a: Theta, b: Theta) -> Theta:
    """Compose two transforms: reading by the result is reading by a, then reading that by b.

    With linear parts A, B and shifts s, t it is [AB | At + s].

    Args:
      a: [2, 3] or [3, 4], which reads the image.
      b: of the same shape, which reads what a has read.

    Returns:
      theta of the same shape, at least float32.

    Raises:
      ValueError: if they are not [2, 3] or [3, 4], both the same.

    >>> zoom, move = jnp.array([[0.5, 0, 0], [0, 0.5, 0]]), jnp.array([[1.0, 0, 1], [0, 1, 0]])
    >>> compose(zoom, move).tolist()  # half the width of the zoomed view
    [[0.5, 0.0, 0.5], [0.0, 0.5, 0.0]]
    """
    _check(a=a)
    if shape_of(b) != shape_of(a):
        raise ValueError(f"a and b must have the same shape; got {shape_of(a)} and {shape_of(b)}")
    a, b = widened("a", a), widened("b", b)
    product = jnp.matmul(a[:, :-1], b, precision=Precision.HIGHEST)
    return product.at[:, -1].add(a[:, -1])


def inverse(theta: Theta) -> Theta:
    """Invert a transform: compose(theta, inverse(theta)) is the identity.

    It is [A^-1 | -A^-1 t], A^-1 = adj(A) / det A. A traced theta that cannot be inverted gives
    zeros, with gradient 0, which read the middle of the image everywhere.

    Args:
      theta: [2, 3] or [3, 4].

    Returns:
      theta of the same shape, at least float32.

    Raises:
      ValueError: if theta is not [2, 3] or [3, 4], or is known to be singular or not finite.

    >>> inverse(jnp.array([[0.0, -0.5, 1.0], [2.0, 0.0, 3.0]])).tolist()
    [[0.0, 0.5, -1.5], [-2.0, 0.0, 2.0]]
    """
    _check(theta=theta)
    check_invertible("theta", theta)
    theta = widened("theta", theta)
    known = ~is_singular(theta[:, :-1]) & jnp.isfinite(theta).all()
    # Replaced before the division too: its gradient would be NaN.
    theta = jnp.where(known, theta, jnp.eye(*theta.shape, dtype=theta.dtype))
    adjugate = _adjugate(theta[:, :-1])
    back = adjugate / (theta[0, :-1] * adjugate[:, 0]).sum()
    shift = -jnp.matmul(back, theta[:, -1:], precision=Precision.HIGHEST)
    return jnp.where(known, jnp.hstack([back, shift]), 0)


def _adjugate(a: Array) -> Array:
    """det(A) A^-1 of a 2 x 2 matrix, or of a 3 x 3 one by cross products of its rows."""
    if len(a) == 2:
        (p, q), (r, s) = a
        return jnp.array([[s, -q], [-r, p]])
    return jnp.cross(a[jnp.array([1, 2, 0])], a[jnp.array([2, 0, 1])]).T


def _check(**thetas: Array) -> None:
    for name, theta in thetas.items():
        if shape_of(theta) not in ((2, 3), (3, 4)):
            raise ValueError(f"{name} must have shape (2, 3) or (3, 4); got {shape_of(theta)}")
