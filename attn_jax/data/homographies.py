"""Homographies that take a square to four points, in whole numbers."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

from attn_jax.data.fixed_point import PIXEL, bits_below, whole

_CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])  # (x, y), around the square
# `square_to_quad` makes numbers of up to 32 times the cube of a corner's coordinate.
_LARGEST = (2**30 / 32) ** (1 / 3)
_NOWHERE = 2.0**24  # a place outside every image


def projective_places(
    draws: Int[Array, "4 2"],
    enlarged: Float[Array, ""],
    moves: Float[np.ndarray, "STEPS"],
    size: int,
) -> tuple[Int[Array, "{size} {size}"], Int[Array, "{size} {size}"]]:
    """Compute where the pixels of a canvas read whose corners read at moved corners.

    Args:
      draws: the moves of each corner along x and y; left above, right above, right below, left
        below.
      enlarged: what the places are multiplied with, once they are found.
      moves: in pixels; those that are drawn from.
      size: rows and columns of the canvas.

    Returns:
      (x, y) from the middle, in 1/PIXEL pixel; far outside where nothing can be seen: at the line
      at infinity, and on that side of it where the canvas's middle is not.

    Raises:
      ValueError: if the numbers are too large to compute with.
    """
    reach = np.abs(moves).max()
    bits = bits_below(_LARGEST, size / 2 + reach)
    if bits < 0:
        raise ValueError(
            f"size / 2 and a corner's largest move must be at most {_LARGEST:.0f} pixels together; "
            f"got {size / 2:g} and {reach:.3g}"
        )
    corners = whole(_CORNERS * size / 2, 2**bits) + jnp.asarray(whole(moves, 2**bits))[draws]
    numerators, denominator = square_to_quad(corners)
    (u, v), w = _planes(numerators, size), _planes(denominator, size)
    seen = jnp.where(w[size // 2, size // 2] < 0, w < 0, w > 0)
    w, unit = jnp.where(seen, w, 1), jnp.float32(PIXEL / 2**bits) * enlarged
    x, y = (jnp.where(seen, part / w * unit, _NOWHERE) for part in (u, v))
    x, y = (jnp.rint(jnp.clip(part, -_NOWHERE, _NOWHERE)).astype(jnp.int32) for part in (x, y))
    return x, y


def square_to_quad(
    corners: Int[Array, "4 2"],
) -> tuple[Int[Array, "2 3"], Int[Array, "3"]]:
    """Find the homography that takes the corners of [0, 1]^2 to four points, in their order.

    Whole numbers stay whole, as it is multiplied with its common denominator.

    Args:
      corners: of (0, 0), (1, 0), (1, 1) and (0, 1).

    Returns:
      The rows of u and v, and that of w: (x, y, 1) is taken to (u / w, v / w).

    Reference: Heckbert 1989, Fundamentals of texture mapping and image warping, section 2.2.3.
    """
    p0, p1, p2, p3 = corners
    one, two, both = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    g, h, d = _cross(both, two), _cross(one, both), _cross(one, two)
    rows = jnp.stack([(p1 - p0) * d + p1 * g, (p3 - p0) * d + p3 * h, p0 * d], -1)
    return rows, jnp.stack([g, h, d])


def _cross(p: Array, q: Array) -> Array:
    return p[0] * q[1] - p[1] * q[0]


def _planes(rows: Int[Array, "*n 3"], size: int) -> Float[Array, "*n {size} {size}"]:
    """Evaluate a x + b y + c at the middles of size x size parts of [0, 1]^2, times 2 size."""
    # The entries keep so many bits that a plane is exact in float32.
    bits = bits_below(2**24, 6 * size)
    length = 32 - lax.clz(jnp.abs(rows).max())
    shift = jnp.maximum(length - bits, 0)
    a, b, c = jnp.moveaxis((rows + ((1 << shift) >> 1)) >> shift, -1, 0)[..., None, None]
    y, x = np.ogrid[tuple(slice(1, 2 * size, 2) for _ in range(2))]
    ones = (1,) * (a.ndim - 2)
    plane = a * x.reshape(*ones, 1, size) + b * y.reshape(*ones, size, 1) + c * (2 * size)
    return plane.astype(jnp.float32) * (1 << shift).astype(jnp.float32)
