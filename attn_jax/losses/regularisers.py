"""Penalties on how attention is distributed, and on how far it warps what it reads."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

_FAR = 16.0  # from beyond it no sampler reads a pixel


def doubly_stochastic(weights: Float[Array, "*n T L"], target: float = 1.0) -> Float[Array, "*n"]:
    """Penalise places without attention: sum_i (target - sum_t alpha_ti)^2.

    It is a sum over places for each example. Public code bases normalise it in four other ways, so
    that a published factor is valid only with its own code.

    Args:
      weights: alpha, which sum to 1 over the L places at each of T steps.
      target: the attention that each place should get over all steps.

    Reference: Xu et al. 2015, eq. 14.
    """
    return ((target - weights.sum(-2)) ** 2).sum(-1)


def identity_penalty(
    grid: Float[Array, "*b h w 2"] | Float[Array, "*b d h w 3"],
) -> Float[Array, "*b"]:
    """Penalise a warp for what it moves: the mean of |S_i - (x_i, y_i)|^2 over the places i.

    It is the square of `ops.transforms.distance_from_identity`: half an image's width is 1, and
    coordinates beyond +-16, and infinite ones, count as +-16.

    Args:
      grid: the places S_i that are read, of `Transform.grid`, whose pixels' outer edges are +-1
        (align_corners=False).

    Returns:
      The penalty of each example, at least float32.

    Raises:
      ValueError: if the last axis is not 2 or 3, or there are fewer axes than it says.
      TypeError: if the grid is not floating point.

    >>> identity_penalty(jnp.array([[[0.3, 0.4]]])).round(6).item()  # one place, moved from (0, 0)
    0.25
    """
    rank = grid.shape[-1] if grid.ndim else 0
    if rank not in (2, 3) or grid.ndim <= rank:
        raise ValueError(f"grid must be [..., h, w, 2] or [..., d, h, w, 3]; got {grid.shape}")
    if not jnp.issubdtype(grid.dtype, jnp.floating):
        raise TypeError(f"grid must be floating point; got {grid.dtype}")
    wide = grid.astype(jnp.promote_types(grid.dtype, jnp.float32))
    axes = [(2 * np.arange(n) + 1 - n) / n for n in grid.shape[-rank - 1 : -1]]
    still = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], -1)  # (x, y): the last axis first
    moved = jnp.clip(wide, -_FAR, _FAR) - still.reshape(
        (1,) * (grid.ndim - still.ndim) + still.shape
    )
    return (moved**2).sum(-1).mean(tuple(range(-rank, 0)))
