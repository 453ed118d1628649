"""Checks, noise and densities that several estimators share."""

import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.checks import check_keys
from attn_jax.losses import no_credit
from attn_jax.ops import masked_log_softmax, masked_softmax
from attn_jax.types import Credit, Estimator, Given, Key, PyTree, Selection

Number = float | Array


def zero_like(like: Array) -> Array:
    """A zero log-probability in the dtype of `like`; both branches of a cond need one dtype."""
    return jnp.zeros((), like.dtype)


def at_least_float32(x: Array) -> Array:
    """Widen coordinates to at least float32: in fewer bits a location would be off by pixels."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def require_key(name: str, key: Key | None) -> Key:
    """Return the key.

    Raises:
      ValueError: if there is none, or more than one, naming the estimator that samples.
      TypeError: if it is no key.
    """
    if key is None:
        raise ValueError(f"{name} samples, so it needs a key; got None")
    check_keys(f"the key of {name}", key, ())
    return key


def check_positive(name: str, value: Number) -> None:
    """Refuse a value that is not positive; a traced value cannot be checked.

    Raises:
      ValueError: with the name and the value.
    """
    if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
        shown = f"{float(value):g}" if np.ndim(value) == 0 else f"{value}"
        raise ValueError(f"{name} must be positive; got {shown}")


@runtime_checkable
class ChoiceOf(Protocol):
    """Gives `where` of a proposal, without sampling."""

    def __call__(self, proposal: PyTree, /) -> Array: ...


@runtime_checkable
class EntropyOf(Protocol):
    """Gives the entropy [] of weights, in nats."""

    def __call__(self, weights: Array, /) -> Array: ...


def deterministic(where: ChoiceOf, gives: Given, entropy: EntropyOf | None = None) -> Estimator:
    """Make an estimator that samples nothing.

    Args:
      where: (proposal) -> where.
      gives: the tag of `where`.
      entropy: (where) -> [], in nats; None: 0.
    """

    def choose(key: Key | None, proposal: PyTree) -> Selection:
        del key
        chosen = where(proposal)
        nats = zero_like(chosen) if entropy is None else entropy(chosen)
        return Selection(chosen, chosen, zero_like(chosen), nats)

    return Estimator(choose, choose, no_credit, gives)


def one_hot(scores: Array, index: Array) -> Array:
    """The one-hot of a flat index, in the shape of the scores; zeros if that place is masked.

    The place of the largest score is masked only if all places are.
    """
    dtype = jnp.promote_types(scores.dtype, jnp.float32)
    chosen = jax.nn.one_hot(index, scores.size, dtype=dtype).reshape(scores.shape)
    return jnp.where(scores == -jnp.inf, 0.0, chosen)


def log_prob_of(chosen: Array, scores: Array) -> Array:
    """log softmax(scores) at the place of a one-hot; 0 for a one-hot of zeros."""
    log_alpha = masked_log_softmax(scores)
    return (chosen * jnp.where(log_alpha == -jnp.inf, 0.0, log_alpha)).sum()


def gumbel(key: Key, scores: Array) -> Array:
    """Draw Gumbel noise g in the shape of the scores: argmax(e + g) ~ Categorical(softmax(e))."""
    return jax.random.gumbel(key, scores.shape, jnp.promote_types(scores.dtype, jnp.float32))


def divide_scores(scores: Array, tau: Number) -> Array:
    """e / tau, where -inf stays -inf and adds no NaN to the gradient of tau."""
    masked = scores == -jnp.inf
    return jnp.where(masked, -jnp.inf, jnp.where(masked, 0.0, scores) / tau)


def tempered_softmax(scores: Array, tau: Number) -> Array:
    """softmax(e / tau)."""
    return masked_softmax(divide_scores(scores, tau))


@runtime_checkable
class PassGradient(Protocol):
    """Gives a location [2] as it is, with or without its gradient."""

    def __call__(self, location: Array, /) -> Array: ...


def normal_estimator(
    name: str, sigma: Number | None, pass_gradient: PassGradient, credit: Credit
) -> Estimator:
    """Make an estimator of locations l = mu + sigma z, z ~ N(0, I).

    Args:
      name: of the estimator, for messages.
      sigma: the standard deviation; None: it is proposed, as (mu, sigma).
      pass_gradient: applied to l: `jax.lax.stop_gradient`, or a function that returns l.
      credit: of the estimator.

    Raises:
      ValueError: if sigma is a number that is not positive.
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
        location = pass_gradient(mu + spread * noise)
        log_prob = log_normal(location, mu, spread)
        return Selection(location, mu, log_prob, normal_entropy(mu, spread))

    def choose(key: Key | None, proposal: PyTree) -> Selection:
        mu, _ = mean_and_sigma(proposal)
        return select(proposal, jax.random.normal(require_key(name, key), mu.shape, mu.dtype))

    def greedy(key: Key | None, proposal: PyTree) -> Selection:
        del key
        return select(proposal, 0.0)

    return Estimator(choose, greedy, credit, "point")


def log_normal(at: Array, mu: Array, sigma: Array) -> Array:
    """log N(at; mu, sigma^2 I), [], of a location [2]; sigma is [] or [2]."""
    z = (at - mu) / sigma
    density = -0.5 * z**2 - jnp.log(sigma) - 0.5 * math.log(2 * math.pi)
    return jnp.broadcast_to(density, mu.shape).sum()


def normal_entropy(mu: Array, sigma: Array) -> Array:
    """The entropy [] of N(mu, sigma^2 I), in nats; sigma is [] or [2]."""
    each = jnp.log(sigma) + 0.5 * math.log(2 * math.pi * math.e)
    return jnp.broadcast_to(each, mu.shape).sum()
