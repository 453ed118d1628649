"""Grids of homographies, which map a plane as it is seen at an angle."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import check_invertible, is_singular, shape_of, widened
from attn_jax.ops.grids import check_size, mesh


def projective_grid(
    homography: Float[Array, "3 3"], size: tuple[int, int], *, align_corners: bool = False
) -> Float[Array, "h w 2"]:
    """Compute where a homography reads: S_i = (u / w, v / w), (u, v, w)^T = H (x_i, y_i, 1)^T.

    H and c H, c != 0, are the same homography. Where w is 0 up to rounding, or the quotient too
    large to be known, both coordinates are +inf, with gradient 0, and a sampler gives zeros or its
    fill. For a traced singular H that is so everywhere; an H that holds NaN gives NaN.

    Args:
      homography: H, from output to input coordinates in [-1, 1].
      size: (h, w) of the output.
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

    Returns:
      The grid of (x, y), at least float32.

    Raises:
      ValueError: if H is not [3, 3], is known to be singular or not finite, or a size is below 1.
      TypeError: if H is not floating point.

    Reference: Hartley and Zisserman, Multiple View Geometry, 2004, section 2.3.

    >>> tilt = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 1.0]])
    >>> projective_grid(tilt, (3, 3), align_corners=True)[0, 0].tolist()
    [-2.0, -2.0]
    """
    if shape_of(homography) != (3, 3):
        raise ValueError(f"homography must have shape (3, 3); got {shape_of(homography)}")
    check_size(size, (2,))
    check_invertible("homography", homography)
    h = widened("homography", homography)
    x, y = mesh(size, align_corners, h.dtype)
    u, v, w = (a * x + b * y + c for a, b, c in h / _scale(h[2]))
    # Twice the rounding of w and more, as a compiler may compute it twice. Comparisons with NaN are
    # false; a quotient beyond 1 / rounding would not determine a pixel.
    rounding = 8 * jnp.finfo(h.dtype).eps
    known = jnp.isfinite(w) & (jnp.abs(w) > rounding * jnp.maximum(1, jnp.maximum(abs(u), abs(v))))
    known &= ~is_singular(h)
    # Unknown entries are replaced before the division too: their gradient would be NaN.
    u, v, w = (jnp.where(known, part, 1) for part in (u, v, w))
    nowhere = jnp.where(jnp.isnan(h).any(), jnp.nan, jnp.inf)
    return jnp.where(known[..., None], jnp.stack([u / w, v / w], -1), nowhere)


def _scale(row: Array) -> Array:
    """The largest entry of the row that gives w; divided by it, w can be compared with rounding."""
    largest = jax.lax.stop_gradient(jnp.abs(row).max())
    usable = jnp.isfinite(largest) & (largest >= jnp.finfo(row.dtype).tiny)
    return jnp.where(usable, largest, 1)
