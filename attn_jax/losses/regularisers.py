"""Penalties on where attention went."""

from jax import Array
from jaxtyping import Float


def doubly_stochastic(weights: Float[Array, "*n T L"], target: float = 1.0) -> Float[Array, "*n"]:
    """sum_i (target - sum_t alpha_ti)^2: every place should be looked at (Xu et al. 2015, eq. 14).

    Summed over places, per example; take the mean over examples outside. Public code bases
    normalise this in four other ways, so a published lambda carries over only with its code.

    Args:
      weights: alpha, summing to 1 over the L places at each of T steps.
      target: the attention each place should get over all steps.
    """
    return ((target - weights.sum(-2)) ** 2).sum(-1)
