"""Hard attention by differentiation: samples that a gradient passes through.

No choice here is credited: it is a differentiable function of the proposal and of noise, exactly
(`pathwise_gaussian`) or by a relaxation, whose gradient is biased (the others).
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.estimators.common import (
    Number,
    check_positive,
    gumbel,
    log_prob_of,
    normal_estimator,
    one_hot,
    require_key,
    tempered_softmax,
    zero_like,
)
from attn_jax.losses import no_credit
from attn_jax.ops import categorical_entropy, check_places, masked_softmax
from attn_jax.types import Estimator, Key, Selection


def pathwise_gaussian(sigma: Number | None = None) -> Estimator:
    """Draw a location l = mu + sigma z, z ~ N(0, I), with the gradient through l.

    The gradient is unbiased where the read is differentiable in l. The bilinear crop and retina
    are, but their gradient by l looks no further than the next pixel.

    Args:
      sigma: as in `gaussian`; None: the proposal is (mu, sigma), and both are learned.

    Raises:
      ValueError: if sigma is a number that is not positive.

    Reference: Kingma & Welling 2014, "Auto-Encoding Variational Bayes".
    """
    return normal_estimator("pathwise_gaussian", sigma, lambda location: location, no_credit)


def gumbel_softmax(tau: Number) -> Estimator:
    """Draw a relaxed one-hot: softmax((e + g) / tau), g ~ Gumbel(0, 1).

    Its gradient is biased for tau > 0, and its variance grows as tau -> 0. `log_prob` is 0. The
    greedy choice has the noise at its mode, 0.

    Args:
      tau: temperature; may be traced.

    Raises:
      ValueError: if tau is a number that is not positive.

    Reference: Jang et al. 2017, eq. 2; Maddison et al. 2017.
    """
    check_positive("tau", tau)

    def select(scores: Array, noisy: Array) -> Selection:
        where = tempered_softmax(noisy, tau)
        return Selection(
            where, masked_softmax(scores), zero_like(where), categorical_entropy(scores)
        )

    def choose(key: Key | None, scores: Array) -> Selection:
        return select(scores, scores + gumbel(require_key("gumbel_softmax", key), scores))

    def greedy(key: Key | None, scores: Array) -> Selection:
        del key
        return select(scores, scores)

    return Estimator(choose, greedy, no_credit, "weights")


def straight_through(tau: Number = 1.0) -> Estimator:
    """Draw a one-hot l ~ Categorical(softmax(e)) whose gradient is that of softmax(e / tau).

    The gradient is biased. The greedy choice is the argmax.

    Args:
      tau: temperature of the backward pass; may be traced.

    Raises:
      ValueError: if tau is a number that is not positive.

    Reference: Bengio, Léonard & Courville 2013.
    """
    return _straight_through("straight_through", tau, lambda scores, noisy: scores)


def straight_through_gumbel(tau: Number) -> Estimator:
    """Draw the one-hot of argmax(e + g) whose gradient is that of softmax((e + g) / tau).

    The gradient is biased. The greedy choice is the argmax.

    Args:
      tau: temperature of the backward pass; may be traced.

    Raises:
      ValueError: if tau is a number that is not positive.

    Reference: Jang et al. 2017, section 2.2.
    """
    return _straight_through("straight_through_gumbel", tau, lambda scores, noisy: noisy)


@runtime_checkable
class BackwardScores(Protocol):
    """Gives the scores that the backward pass differentiates."""

    def __call__(self, scores: Array, noisy: Array, /) -> Array: ...


def _straight_through(name: str, tau: Number, backward: BackwardScores) -> Estimator:
    check_positive("tau", tau)

    def select(scores: Array, noisy: Array) -> Selection:
        check_places(scores)
        hard = one_hot(scores, jnp.argmax(noisy))
        relaxed = tempered_softmax(backward(scores, noisy), tau)
        # In this order the sum is the one-hot, bit for bit.
        where = hard + (relaxed - jax.lax.stop_gradient(relaxed))
        return Selection(
            where,
            masked_softmax(scores),
            log_prob_of(hard, scores),
            categorical_entropy(scores),
        )

    def choose(key: Key | None, scores: Array) -> Selection:
        return select(scores, scores + gumbel(require_key(name, key), scores))

    def greedy(key: Key | None, scores: Array) -> Selection:
        del key
        return select(scores, scores)

    return Estimator(choose, greedy, no_credit, "one_hot")
