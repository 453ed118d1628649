"""Estimators: how a choice is made going forward, and credited going back.

Each is one short function that returns an `Estimator`. Soft ones give what they propose and
need no credit; hard ones sample, and the score function credits them. Controls ignore the
proposal. Swapping one for another changes no parameter.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.losses import no_credit, score_function
from attn_jax.ops import categorical_entropy, masked_log_softmax, masked_softmax
from attn_jax.types import Estimator, Key, PyTree, Selection


def expectation() -> Estimator:
    """Soft attention: where = E[where | s] = softmax(e), differentiable  (Bahdanau et al. 2015).

    Proposals are scores [L] or [H, W]; -inf masks. No key is used.

    >>> expectation().choose(None, jnp.zeros(4)).where.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def choose(key: Key | None, scores: Array) -> Selection:
        del key
        alpha = masked_softmax(scores)
        return Selection(alpha, alpha, _nothing(alpha), categorical_entropy(scores))

    return Estimator(choose, choose, no_credit, "weights")


def categorical() -> Estimator:
    """Hard attention: l ~ Categorical(softmax(e)), as a one-hot  (Xu et al. 2015, section 4.1).

    Proposals are scores [L] or [H, W]; -inf masks, and if all are masked nothing is chosen
    (zeros). The greedy choice is the argmax.
    """

    def select(scores: Array, index: Array) -> Selection:
        log_alpha = masked_log_softmax(scores)
        log_alpha = jnp.where(log_alpha == -jnp.inf, 0.0, log_alpha)
        one_hot = jax.nn.one_hot(index, scores.size, dtype=log_alpha.dtype).reshape(scores.shape)
        one_hot = jnp.where(scores == -jnp.inf, 0.0, one_hot)
        return Selection(
            one_hot,
            masked_softmax(scores),
            (one_hot * log_alpha).sum(),
            categorical_entropy(scores),
        )

    def choose(key: Key | None, scores: Array) -> Selection:
        index = jax.random.categorical(_needs("categorical", key), scores.ravel())
        return select(scores, index)

    def greedy(key: Key | None, scores: Array) -> Selection:
        del key
        return select(scores, jnp.argmax(scores))

    return Estimator(choose, greedy, score_function, "one_hot")


def gaussian(sigma: float | Array) -> Estimator:
    """Hard location: l ~ N(mu, sigma^2 I), no gradient through l  (Mnih et al. 2014, section 3.1).

    Args:
      sigma: standard deviation in the proposal's units; may be traced, so that a schedule
        never retraces.

    Proposals are means mu [2]. The greedy choice is mu itself.

    Raises:
      ValueError: if sigma is a number that is not positive.
    """
    if not isinstance(sigma, jax.core.Tracer) and not float(sigma) > 0:
        raise ValueError(f"sigma must be positive; got {float(sigma):g}")

    def select(mu: Array, location: Array) -> Selection:
        location = jax.lax.stop_gradient(location)
        z = (location - mu) / sigma
        log_sigma = jnp.log(jnp.asarray(sigma, mu.dtype))
        log_prob = (-0.5 * z**2 - log_sigma - 0.5 * math.log(2 * math.pi)).sum()
        entropy = mu.size * (log_sigma + 0.5 * math.log(2 * math.pi * math.e))
        return Selection(location, mu, log_prob, entropy)

    def choose(key: Key | None, mu: Array) -> Selection:
        noise = jax.random.normal(_needs("gaussian", key), mu.shape, mu.dtype)
        return select(mu, mu + sigma * noise)

    def greedy(key: Key | None, mu: Array) -> Selection:
        del key
        return select(mu, mu)

    return Estimator(choose, greedy, score_function, "point")


def identity() -> Estimator:
    """The proposal itself, differentiable: the spatial transformer's choice  (Jaderberg et al.)."""
    return _ignoring_the_key(lambda theta: theta, "theta")


def uniform() -> Estimator:
    """Control: equal weights over all unmasked places, whatever was proposed."""

    def where(scores: Array) -> Array:
        return masked_softmax(jnp.where(scores == -jnp.inf, scores, 0.0))

    return _ignoring_the_key(where, "weights", entropy=lambda a: categorical_entropy(jnp.log(a)))


def fixed_point(point: Sequence[float] = (0.0, 0.0)) -> Estimator:
    """Control: always the same location, (x, y); the centre by default."""
    return _ignoring_the_key(lambda mu: jnp.asarray(point, mu.dtype), "point")


def random_point(extent: float = 1.0) -> Estimator:
    """Control: l ~ Uniform([-extent, extent]^2), whatever was proposed, greedy or not."""
    log_prob = -2 * math.log(2 * extent)

    def choose(key: Key | None, mu: Array) -> Selection:
        key = _needs("random_point", key)
        where = jax.random.uniform(key, mu.shape, mu.dtype, -extent, extent)
        certain = jnp.full((), log_prob, mu.dtype)
        return Selection(where, jnp.zeros_like(mu), certain, -certain)

    return Estimator(choose, choose, no_credit, "point")


def _ignoring_the_key(where, gives: str, entropy=None) -> Estimator:
    def choose(key: Key | None, proposal: PyTree) -> Selection:
        del key
        chosen = where(proposal)
        spread = _nothing(chosen) if entropy is None else entropy(chosen)
        return Selection(chosen, chosen, _nothing(chosen), spread)

    return Estimator(choose, choose, no_credit, gives)


def _nothing(like: Array) -> Array:
    """0, of the dtype that log-probabilities of this choice have: branches must agree."""
    return jnp.zeros((), like.dtype)


def _needs(name: str, key: Key | None) -> Key:
    if key is None:
        raise ValueError(f"{name} samples, so it needs a key; got None")
    return key
