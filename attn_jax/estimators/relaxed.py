"""Hard attention by differentiation: samples that a gradient passes through.

None of them is credited: the choice is a differentiable function of the proposal and of noise,
exactly (`pathwise_gaussian`) or by a relaxation whose gradient is biased (the others).
"""

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.estimators.common import (
    Number,
    check_positive,
    gumbel,
    log_prob_of,
    needs,
    normal,
    nothing,
    one_hot,
    tempered,
)
from attn_jax.losses import no_credit
from attn_jax.ops import categorical_entropy, check_places, masked_softmax
from attn_jax.types import Estimator, Key, Selection


def pathwise_gaussian(sigma: Number | None = None) -> Estimator:
    """l = mu + sigma z, z ~ N(0, I), differentiated through l  (Kingma & Welling 2014).

    Unbiased where the read is differentiable in l: the bilinear crop and retina are, but see
    only as far as a pixel.

    Args:
      sigma: as in `gaussian`; None: the proposal is (mu, sigma), and both are learned.

    Raises:
      ValueError: if sigma is a number that is not positive.
    """
    return normal("pathwise_gaussian", sigma, lambda location: location, no_credit)


def gumbel_softmax(tau: Number) -> Estimator:
    """where = softmax((e + g) / tau), g ~ Gumbel(0, 1)  (Jang et al. 2017, eq. 2; Maddison 2017).

    A relaxed one-hot: biased for tau > 0, and of growing variance as tau -> 0. `log_prob` is 0.
    The greedy choice has the noise at its mode, 0.

    Args:
      tau: temperature; may be traced.

    Raises:
      ValueError: if tau is a number that is not positive.
    """
    check_positive("tau", tau)

    def select(scores: Array, noisy: Array) -> Selection:
        where = tempered(noisy, tau)
        return Selection(where, masked_softmax(scores), nothing(where), categorical_entropy(scores))

    def choose(key: Key | None, scores: Array) -> Selection:
        return select(scores, scores + gumbel(needs("gumbel_softmax", key), scores))

    def greedy(key: Key | None, scores: Array) -> Selection:
        del key
        return select(scores, scores)

    return Estimator(choose, greedy, no_credit, "weights")


def straight_through(tau: Number = 1.0) -> Estimator:
    """Forward a one-hot l ~ Categorical(softmax(e)), backward softmax(e / tau).

    Bengio, Léonard & Courville 2013. Biased. The greedy choice is the argmax.

    Args:
      tau: temperature of the backward pass; may be traced.

    Raises:
      ValueError: if tau is a number that is not positive.
    """
    return _through("straight_through", tau, lambda scores, noisy: scores)


def straight_through_gumbel(tau: Number) -> Estimator:
    """Forward the one-hot of argmax(e + g), backward softmax((e + g) / tau).

    Straight-through Gumbel-softmax: Jang et al. 2017, section 2.2. Biased. The greedy choice is
    the argmax.

    Args:
      tau: temperature of the backward pass; may be traced.

    Raises:
      ValueError: if tau is a number that is not positive.
    """
    return _through("straight_through_gumbel", tau, lambda scores, noisy: noisy)


def _through(name: str, tau: Number, behind) -> Estimator:
    check_positive("tau", tau)

    def select(scores: Array, noisy: Array) -> Selection:
        check_places(scores)
        hard = one_hot(scores, jnp.argmax(noisy))
        relaxed = tempered(behind(scores, noisy), tau)
        # In this order the sum is the one-hot, bit for bit.
        where = hard + (relaxed - jax.lax.stop_gradient(relaxed))
        return Selection(
            where,
            masked_softmax(scores),
            log_prob_of(hard, scores),
            categorical_entropy(scores),
        )

    def choose(key: Key | None, scores: Array) -> Selection:
        return select(scores, scores + gumbel(needs(name, key), scores))

    def greedy(key: Key | None, scores: Array) -> Selection:
        del key
        return select(scores, scores)

    return Estimator(choose, greedy, no_credit, "one_hot")
