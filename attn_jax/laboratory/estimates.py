"""Gradient estimates for a single choice that evaluate what follows it more than once.

Each is `estimate(key, proposal, f)`: an estimate of d/d e E[f(where)], where ~ Categorical of the
scores e as a one-hot; f(where) -> [] may be asked at any weights, not at one-hots alone.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops import masked_log_softmax, masked_softmax
from attn_jax.types import Key

Follows = Callable[[Array], Array]
_TINY = 1e-20  # of a uniform draw, whose logarithm is taken twice


def enumeration(key: Key | None, scores: Float[Array, "L"], f: Follows) -> Float[Array, "L"]:
    """d/de sum_i softmax(e)_i f(one-hot_i): exact, at L times the cost.

    >>> enumeration(None, jnp.zeros(2), lambda where: where[0]).tolist()
    [0.25, -0.25]
    """
    del key

    def expected(scores: Array) -> Array:
        return masked_softmax(scores) @ jax.vmap(f)(jnp.eye(scores.size))

    return jax.grad(expected)(scores)


def rebar(
    key: Key, scores: Float[Array, "L"], f: Follows, *, tau: float = 0.5, eta: float = 1.0
) -> Float[Array, "L"]:
    """REBAR: the score function with a relaxed control variate, unbiased for any tau and eta.

        [f(b) - eta f(s(z~))] d log p(b) + eta d f(s(z)) - eta d f(s(z~)),
        z = log alpha + g,  b = one-hot(argmax z),  z~ ~ p(z | b),  s = softmax(. / tau)

    Args:
      key: consumed.
      scores: e [L].
      f: what follows the choice; differentiable in its weights.
      tau: temperature of the relaxation.
      eta: scale of the control variate; 0 is plain REINFORCE.

    Raises:
      ValueError: if tau is not positive.

    Reference: Tucker et al. 2017; Grathwohl et al. 2018 for z~ of a categorical.
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive; got {tau:g}")
    uniform_z, uniform_b = jax.random.uniform(key, (2, scores.size), minval=_TINY)
    noise = -jnp.log(-jnp.log(uniform_z))
    chosen = jax.nn.one_hot(jnp.argmax(scores + noise), scores.size)

    def given_chosen(log_alpha: Array) -> Array:
        """z~: Gumbels of mean log alpha given that the chosen one is the largest."""
        exponential = -jnp.log(uniform_b)
        largest = (exponential * chosen).sum()
        others = -jnp.log(exponential * jnp.exp(-log_alpha) + largest)
        return jnp.where(chosen > 0, -jnp.log(largest), others)

    def surrogate(scores: Array) -> Array:
        log_alpha = masked_log_softmax(scores)
        free = f(jax.nn.softmax((log_alpha + noise) / tau))
        conditional = f(jax.nn.softmax(given_chosen(log_alpha) / tau))
        advantage = jax.lax.stop_gradient(f(chosen) - eta * conditional)
        return advantage * (chosen * log_alpha).sum() + eta * (free - conditional)

    return jax.grad(surrogate)(scores)
