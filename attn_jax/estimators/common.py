"""What several estimators begin with."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.losses import no_credit
from attn_jax.ops import masked_log_softmax, masked_softmax
from attn_jax.types import Credit, Estimator, Given, Key, PyTree, Selection

Number = float | Array


def nothing(like: Array) -> Array:
    """0, of the dtype that log-probabilities of this choice have: branches must agree."""
    return jnp.zeros((), like.dtype)


def at_least_float32(x: Array) -> Array:
    """Coordinates are: in fewer bits a place would be off by pixels."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def needs(name: str, key: Key | None) -> Key:
    """The key, or a ValueError that says who needs it."""
    if key is None:
        raise ValueError(f"{name} samples, so it needs a key; got None")
    return key


def check_positive(name: str, value: Number) -> None:
    """Refuse what is not positive; a traced value is the caller's to keep so."""
    if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
        shown = f"{float(value):g}" if np.ndim(value) == 0 else f"{value}"
        raise ValueError(f"{name} must be positive; got {shown}")


def soft(
    where: Callable[[PyTree], PyTree],
    gives: Given,
    entropy: Callable[[PyTree], Array] | None = None,
) -> Estimator:
    """An estimator that samples nothing: `where` of the proposal, and the entropy of that."""

    def choose(key: Key | None, proposal: PyTree) -> Selection:
        del key
        chosen = where(proposal)
        spread = nothing(chosen) if entropy is None else entropy(chosen)
        return Selection(chosen, chosen, nothing(chosen), spread)

    return Estimator(choose, choose, no_credit, gives)


def one_hot(scores: Array, index: Array) -> Array:
    """The place `index` of the flattened scores; zeros if it is masked, as all then are."""
    dtype = jnp.promote_types(scores.dtype, jnp.float32)
    chosen = jax.nn.one_hot(index, scores.size, dtype=dtype).reshape(scores.shape)
    return jnp.where(scores == -jnp.inf, 0.0, chosen)


def log_prob_of(chosen: Array, scores: Array) -> Array:
    """log alpha at the place of a one-hot; 0 if nothing was chosen."""
    log_alpha = masked_log_softmax(scores)
    return (chosen * jnp.where(log_alpha == -jnp.inf, 0.0, log_alpha)).sum()


def gumbel(key: Key, scores: Array) -> Array:
    """Standard Gumbel noise in the shape of the scores: argmax(e + g) ~ Categorical(softmax(e))."""
    return jax.random.gumbel(key, scores.shape, jnp.promote_types(scores.dtype, jnp.float32))


def divided(scores: Array, tau: Number) -> Array:
    """e / tau; -inf stays masked, and gives no NaN to tau's gradient."""
    masked = scores == -jnp.inf
    return jnp.where(masked, -jnp.inf, jnp.where(masked, 0.0, scores) / tau)


def tempered(scores: Array, tau: Number) -> Array:
    """softmax(e / tau)."""
    return masked_softmax(divided(scores, tau))


def normal(
    name: str, sigma: Number | None, placed: Callable[[Array], Array], credit: Credit
) -> Estimator:
    """l ~ N(mu, sigma^2 I); `placed` says what gradient passes through l.

    Args:
      name: of the estimator, for messages.
      sigma: None: the proposal is (mu, sigma).
      placed: applied to mu + sigma z.
      credit: of the estimator.
    """
    if sigma is not None:
        check_positive("sigma", sigma)

    def mean_and_sigma(proposal: PyTree) -> tuple[Array, Array]:
        if sigma is None and not isinstance(proposal, tuple):
            raise ValueError(f"{name}() takes (mu, sigma); got mu alone: give it a sigma")
        if sigma is not None and isinstance(proposal, tuple):
            raise ValueError(f"{name}(sigma) takes mu; got (mu, sigma): give it no sigma")
        mu, spread = proposal if sigma is None else (proposal, sigma)
        mu = at_least_float32(mu)
        return mu, jnp.asarray(spread, mu.dtype)

    def select(proposal: PyTree, noise: Array | float) -> Selection:
        mu, spread = mean_and_sigma(proposal)
        location = placed(mu + spread * noise)
        log_prob = log_normal(location, mu, spread)
        return Selection(location, mu, log_prob, normal_entropy(mu, spread))

    def choose(key: Key | None, proposal: PyTree) -> Selection:
        mu, _ = mean_and_sigma(proposal)
        return select(proposal, jax.random.normal(needs(name, key), mu.shape, mu.dtype))

    def greedy(key: Key | None, proposal: PyTree) -> Selection:
        del key
        return select(proposal, 0.0)

    return Estimator(choose, greedy, credit, "point")


def log_normal(at: Array, mu: Array, sigma: Array) -> Array:
    """log N(at; mu, sigma^2 I)."""
    z = (at - mu) / sigma
    density = -0.5 * z**2 - jnp.log(sigma) - 0.5 * math.log(2 * math.pi)
    return jnp.broadcast_to(density, mu.shape).sum()


def normal_entropy(mu: Array, sigma: Array) -> Array:
    """H of N(mu, sigma^2 I), in nats."""
    each = jnp.log(sigma) + 0.5 * math.log(2 * math.pi * math.e)
    return jnp.broadcast_to(each, mu.shape).sum()
