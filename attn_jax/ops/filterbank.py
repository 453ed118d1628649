"""The Gaussian grid of DRAW: a glimpse that is smooth in its place, width, blur and brightness."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import check_extent, read_of, shape_of, widened
from attn_jax.types import Read

# exp(30) still fits float32, and the places it gives are far outside any image.
_LIMIT = 30.0


def gaussian_filters(
    where: Float[Array, "5"], samples: int, image: tuple[int, int]
) -> tuple[Float[Array, "N H"], Float[Array, "N W"], Float[Array, ""]]:
    """Compute F_Y, F_X and gamma of a grid of N x N Gaussians  (Gregor et al. 2015, eqs. 19-26).

    where = (g_X, g_Y, log sigma^2, log delta, log gamma). With pixels counted from 1,
    F_X[i, a] = exp(-(a - mu_i)^2 / (2 sigma^2)) / Z_i, where Z_i makes every filter sum to 1,
    mu_i = (W + 1) (g_X + 1) / 2 + (i - N / 2 - 0.5) stride,
    stride = (max(H, W) - 1) / (N - 1) delta.

    Args:
      where: see above; each entry is clipped to [-30, 30]. A g of -1 is one pixel before the first
        pixel's centre, a g of 1 one pixel after the last one's, as in the paper; NaN reads as -1.
      samples: N, at least 1.
      image: (H, W).

    Returns:
      F_Y, F_X and gamma, in at least float32.

    Raises:
      ValueError: if where is not [5], samples is below 1, or an axis is longer than its places can
        count.

    >>> rows, columns, gamma = gaussian_filters(jnp.zeros(5), 3, (5, 7))
    >>> columns[1].argmax().item(), gamma.item()
    (3, 1.0)
    """
    if shape_of(where) != (5,):
        raise ValueError(f"where must have shape (5,); got {shape_of(where)}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1; got {samples}")
    clipped = jnp.clip(widened("where", where), -_LIMIT, _LIMIT)
    g, (log_variance, log_delta, log_gamma) = clipped[:2], clipped[2:]
    g_x, g_y = jnp.where(jnp.isnan(g), -1, g)
    stride = (max(image) - 1) / max(samples - 1, 1) * jnp.exp(log_delta)
    offsets = (jnp.arange(samples, dtype=stride.dtype) - (samples - 1) / 2) * stride
    precision = jnp.exp(-log_variance)

    def filters(g: Array, size: int) -> Array:
        check_extent(size, g.dtype)
        middles = ((size + 1) * (g + 1) - 2) / 2 + offsets  # counted from 0
        # From the pixel c nearest to mu: (a - mu)^2 = (a - c) (a - c - 2 (mu - c)) + (mu - c)^2.
        # The last term is in Z too; without it a filter far outside still sums to 1.
        nearest = jnp.round(jnp.clip(middles, 0, size - 1))[:, None]
        steps = jnp.arange(size, dtype=nearest.dtype)[None] - nearest
        square = steps * (steps - 2 * (middles[:, None] - nearest))
        weights = jnp.exp(-square * precision / 2)
        return weights / weights.sum(1, keepdims=True)

    return filters(g_y, image[0]), filters(g_x, image[1]), jnp.exp(log_gamma)


def gaussian_grid(size: int) -> Read:
    """Read a grid of N x N Gaussians, as DRAW does: x' = gamma F_Y x F_X^T  (eq. 27).

    Args:
      size: N, so that the glimpse has N x N samples.

    Returns:
      A read of images [H, W, C] at where [5], see `gaussian_filters`: [N, N, C]. The image must be
      finite. It raises TypeError if it is not floating point.

    Raises:
      ValueError: if size is below 1.

    Reference: Gregor et al. 2015, DRAW: A Recurrent Neural Network For Image Generation.

    >>> gaussian_grid(4).apply(jnp.ones((28, 28, 1)), jnp.zeros(5)).shape
    (4, 4, 1)
    """
    if size < 1:
        raise ValueError(f"size must be at least 1; got {size}")

    def apply(image: Float[Array, "H W C"], where: Float[Array, "5"]) -> Float[Array, "N N C"]:
        if image.ndim != 3:
            raise ValueError(f"a glimpse reads an image [H, W, C]; got shape {image.shape}")
        rows, columns, gamma = gaussian_filters(where, size, image.shape[:2])
        exact = jax.lax.Precision.HIGHEST
        strips = jnp.einsum("iH,HWC->iWC", rows, widened("image", image), precision=exact)
        glimpse = jnp.einsum("iWC,jW->ijC", strips, columns, precision=exact)
        return (gamma * glimpse).astype(image.dtype)

    return read_of(apply, "gaussian_grid")
