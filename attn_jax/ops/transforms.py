"""Constrained transforms: short vectors that turn into theta; how thetas compose and invert.

A theta takes output coordinates to input coordinates, as `affine_grid` reads it. Angles turn
squares into squares only where the image is square: coordinates are in [-1, 1] on both axes.

>>> attention = isotropic()
>>> attention.apply(jnp.array([0.5, 0.25, 0.0])).tolist()
[[0.5, 0.0, 0.25], [0.0, 0.5, 0.0]]
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.lax import Precision
from jaxtyping import Float

from attn_jax.ops.common import check_invertible, is_singular, shape_of, widened


class Transform(NamedTuple):
    """A family of transforms: what a proposal must give, and what that means.

    Attributes:
      apply: vector [size] -> theta [2, 3], at least float32.
      identity: [size], the vector whose theta is the identity.
      size: of the vector.
    """

    apply: Callable[[Array], Array]
    identity: Array
    size: int


def _transform(identity: Sequence[float], rows: Callable[..., Sequence]) -> Transform:
    size = len(identity)

    def apply(vector: Float[Array, "n"]) -> Float[Array, "2 3"]:
        if shape_of(vector) != (size,):
            raise ValueError(f"vector must have shape {(size,)}; got {shape_of(vector)}")
        return jnp.array(rows(*widened("vector", vector)))

    return Transform(apply, jnp.array(identity, jnp.float32), size)


def translation() -> Transform:
    """(t_x, t_y) -> [1 0 t_x; 0 1 t_y].

    >>> translation().apply(jnp.array([0.5, -0.5])).tolist()
    [[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]]
    """
    return _transform((0, 0), lambda x, y: [[1, 0, x], [0, 1, y]])


def isotropic() -> Transform:
    """(s, t_x, t_y) -> [s 0 t_x; 0 s t_y]: the transformer's attention  (Jaderberg 2015, eq. 3).

    >>> isotropic().apply(jnp.array([2.0, 0.0, 0.0])).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """
    return _transform((1, 0, 0), lambda s, x, y: [[s, 0, x], [0, s, y]])


def similarity() -> Transform:
    """(s, a, t_x, t_y) -> [s cos a, -s sin a, t_x; s sin a, s cos a, t_y]; a in radians.

    As y points down, a positive angle turns what is read clockwise, so the picture turns back.

    >>> similarity().apply(jnp.array([2.0, jnp.pi / 2, 0.0, 0.0])).round(5).tolist()
    [[-0.0, -2.0, 0.0], [2.0, -0.0, 0.0]]
    """

    def rows(s: Array, angle: Array, x: Array, y: Array) -> Sequence:
        cosine, sine = s * jnp.cos(angle), s * jnp.sin(angle)
        return [[cosine, -sine, x], [sine, cosine, y]]

    return _transform((1, 0, 0, 0), rows)


def axis_aligned() -> Transform:
    """(s_x, s_y, t_x, t_y) -> [s_x 0 t_x; 0 s_y t_y]: a box.

    >>> axis_aligned().apply(jnp.array([2.0, 3.0, 0.0, 0.5])).tolist()
    [[2.0, 0.0, 0.0], [0.0, 3.0, 0.5]]
    """
    return _transform((1, 1, 0, 0), lambda s, t, x, y: [[s, 0, x], [0, t, y]])


def full_affine() -> Transform:
    """All six entries of theta, row by row.

    >>> full_affine().apply(jnp.arange(6.0)).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    """
    return _transform((1, 0, 0, 0, 1, 0), lambda a, b, x, c, d, y: [[a, b, x], [c, d, y]])


Theta = Float[Array, "2 3"] | Float[Array, "3 4"]


def compose(a: Theta, b: Theta) -> Theta:
    """ab: reading with a, then reading the result with b, in one read.

    With linear parts A, B and shifts s, t: [AB | At + s].

    Args:
      a: [2, 3] or [3, 4], what reads the image.
      b: the same shape, what reads what a has read.

    Returns:
      theta of the same shape, at least float32.

    Raises:
      ValueError: if they are not [2, 3] or [3, 4], both the same.

    >>> zoom, move = jnp.array([[0.5, 0, 0], [0, 0.5, 0]]), jnp.array([[1.0, 0, 1], [0, 1, 0]])
    >>> compose(zoom, move).tolist()  # moved by a half of the zoomed picture: a quarter of its own
    [[0.5, 0.0, 0.5], [0.0, 0.5, 0.0]]
    """
    _check(a=a)
    if shape_of(b) != shape_of(a):
        raise ValueError(f"a and b must have the same shape; got {shape_of(a)} and {shape_of(b)}")
    a, b = widened("a", a), widened("b", b)
    product = jnp.matmul(a[:, :-1], b, precision=Precision.HIGHEST)
    return product.at[:, -1].add(a[:, -1])


def inverse(theta: Theta) -> Theta:
    """The transform that undoes it: compose(theta, inverse(theta)) is the identity.

    [A^-1 | -A^-1 t], A^-1 = adj(A) / det A. A traced theta that cannot be inverted gives zeros,
    with gradient 0: a transform that reads the image's middle everywhere.

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
    """det(A) A^-1 of 2 x 2, or of 3 x 3, whose columns are the cross products of the rows."""
    if len(a) == 2:
        (p, q), (r, s) = a
        return jnp.array([[s, -q], [-r, p]])
    return jnp.cross(a[jnp.array([1, 2, 0])], a[jnp.array([2, 0, 1])]).T


def _check(**thetas: Array) -> None:
    for name, theta in thetas.items():
        if shape_of(theta) not in ((2, 3), (3, 4)):
            raise ValueError(f"{name} must have shape (2, 3) or (3, 4); got {shape_of(theta)}")
