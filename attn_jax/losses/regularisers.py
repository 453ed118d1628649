"""Penalties on how attention is distributed."""

from jax import Array
from jaxtyping import Float


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
