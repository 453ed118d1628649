"""Composition and inversion of transforms that are matrices: theta and homographies."""

import jax.numpy as jnp
from jax import Array
from jax.lax import Precision
from jaxtyping import Float

from attn_jax.ops.common import check_invertible, is_singular, shape_of, widened

Matrix = Float[Array, "2 3"] | Float[Array, "3 4"] | Float[Array, "3 3"]
_SHAPES = {(2, 3), (3, 4), (3, 3)}


def compose(a: Matrix, b: Matrix) -> Matrix:
    """Compose two transforms: reading by the result is reading by a, then reading that by b.

    Of thetas with linear parts A, B and shifts s, t it is [AB | At + s], of homographies AB.

    Args:
      a: theta [2, 3] or [3, 4], or a homography [3, 3], which reads the image.
      b: of the same shape, which reads what a has read.

    Returns:
      A transform of the same shape, at least float32.

    Raises:
      ValueError: for other shapes, or two different ones.

    >>> zoom, move = jnp.array([[0.5, 0, 0], [0, 0.5, 0]]), jnp.array([[1.0, 0, 1], [0, 1, 0]])
    >>> compose(zoom, move).tolist()  # half the width of the zoomed view
    [[0.5, 0.0, 0.5], [0.0, 0.5, 0.0]]
    """
    _check("a", a)
    if shape_of(b) != shape_of(a):
        raise ValueError(f"a and b must have the same shape; got {shape_of(a)} and {shape_of(b)}")
    a, b = widened("a", a), widened("b", b)
    rows = len(a)
    product = jnp.matmul(a[:, :rows], b, precision=Precision.HIGHEST)
    return product if a.shape == (3, 3) else product.at[:, -1].add(a[:, -1])


def inverse(theta: Matrix) -> Matrix:
    """Invert a transform: compose(theta, inverse(theta)) is the identity.

    Of theta = [A | t] it is [A^-1 | -A^-1 t], A^-1 = adj(A) / det A. A traced transform that cannot
    be inverted gives zeros, with gradient 0: zeros of a theta read the middle of the image, those
    of a homography nothing.

    Args:
      theta: [2, 3] or [3, 4], or a homography [3, 3].

    Returns:
      A transform of the same shape, at least float32.

    Raises:
      ValueError: for another shape, or for what is known to be singular or not finite.

    >>> inverse(jnp.array([[0.0, -0.5, 1.0], [2.0, 0.0, 3.0]])).tolist()
    [[0.0, 0.5, -1.5], [-2.0, 0.0, 2.0]]
    """
    _check("theta", theta)
    check_invertible("theta", theta)
    theta = widened("theta", theta)
    rows = len(theta)
    known = ~is_singular(theta[:, :rows]) & jnp.isfinite(theta).all()
    # Replaced before the division too: its gradient would be NaN.
    theta = jnp.where(known, theta, jnp.eye(*theta.shape, dtype=theta.dtype))
    square = theta[:, :rows]
    back = _adjugate(square) / determinant_of(square)
    shift = -jnp.matmul(back, theta[:, rows:], precision=Precision.HIGHEST)
    return jnp.where(known, jnp.hstack([back, shift]), 0)


def determinant_of(a: Array) -> Array:
    """The determinant of a matrix [2, 2] or [3, 3]."""
    return (a[0] * _adjugate(a)[:, 0]).sum()


def _adjugate(a: Array) -> Array:
    """det(A) A^-1 of a 2 x 2 matrix, or of a 3 x 3 one by cross products of its rows."""
    if len(a) == 2:
        (p, q), (r, s) = a
        return jnp.array([[s, -q], [-r, p]])
    return jnp.cross(a[jnp.array([1, 2, 0])], a[jnp.array([2, 0, 1])]).T


def _check(name: str, theta: Array) -> None:
    if shape_of(theta) not in _SHAPES:
        raise ValueError(
            f"{name} must have shape (2, 3) or (3, 4), or (3, 3) of a homography; "
            f"got {shape_of(theta)}"
        )
