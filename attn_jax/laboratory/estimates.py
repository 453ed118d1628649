"""Gradient estimates for a single choice that evaluate its reward more than once.

Each is `estimate(key, scores, reward)`: an estimate of d/de E[reward(where)], where is the one-hot
of an index ~ Categorical(softmax(e)). The reward must be defined at any weights, not at one-hots
alone.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.checks import check_keys
from attn_jax.ops import masked_log_softmax, masked_softmax
from attn_jax.types import Key

_TINY = 1e-20  # the least uniform draw: its logarithm is taken twice


@runtime_checkable
class ChoiceReward(Protocol):
    """Gives the reward [] of a single choice, whose weights are [L] or [H, W]."""

    def __call__(self, where: Array, /) -> Array: ...


def enumeration(
    key: Key | None, scores: Float[Array, "L"], reward: ChoiceReward
) -> Float[Array, "L"]:
    """d/de sum_i softmax(e)_i reward(one-hot_i): exact, at L times the cost.

    Args:
      key: not used.
      scores: e [L].
      reward: of the choice.

    >>> enumeration(None, jnp.zeros(2), lambda where: where[0]).tolist()
    [0.25, -0.25]
    """
    del key

    def expected(scores: Array) -> Array:
        return masked_softmax(scores) @ jax.vmap(reward)(jnp.eye(scores.size))

    return jax.grad(expected)(scores)


def rebar(
    key: Key, scores: Float[Array, "L"], reward: ChoiceReward, *, tau: float = 0.5, eta: float = 1.0
) -> Float[Array, "L"]:
    """REBAR: the score function with a relaxed control variate, unbiased for any tau and eta.

        [R(b) - eta R(s(z~))] d log p(b) + eta d R(s(z)) - eta d R(s(z~)),
        z = log alpha + g,  b = one-hot(argmax z),  z~ ~ p(z | b),  s = softmax(. / tau)

    Args:
      key: consumed.
      scores: e [L].
      reward: R, of the choice; differentiable in its weights.
      tau: temperature of the relaxation.
      eta: scale of the control variate; 0 is plain REINFORCE.

    Raises:
      ValueError: if tau is not positive.
      ValueError, TypeError: for what is not one key.

    Reference: Tucker et al. 2017; Grathwohl et al. 2018 for z~ of a categorical.
    """
    check_keys("key", key, ())
    if not tau > 0:
        raise ValueError(f"tau must be positive; got {tau:g}")
    uniform_z, uniform_b = jax.random.uniform(key, (2, scores.size), minval=_TINY)
    noise = -jnp.log(-jnp.log(uniform_z))
    chosen = jax.nn.one_hot(jnp.argmax(scores + noise), scores.size)

    def given_chosen(log_alpha: Array) -> Array:
        """Gumbel variables z~ at location log alpha, given that the chosen one is the largest."""
        exponential = -jnp.log(uniform_b)
        largest = (exponential * chosen).sum()
        others = -jnp.log(exponential * jnp.exp(-log_alpha) + largest)
        return jnp.where(chosen > 0, -jnp.log(largest), others)

    def surrogate(scores: Array) -> Array:
        log_alpha = masked_log_softmax(scores)
        relaxed = reward(jax.nn.softmax((log_alpha + noise) / tau))
        conditional = reward(jax.nn.softmax(given_chosen(log_alpha) / tau))
        advantage = jax.lax.stop_gradient(reward(chosen) - eta * conditional)
        return advantage * (chosen * log_alpha).sum() + eta * (relaxed - conditional)

    return jax.grad(surrogate)(scores)
