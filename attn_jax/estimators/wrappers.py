"""Wrappers: estimators made of other estimators."""

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.estimators.common import Number, check_positive, divide_scores, require_key
from attn_jax.types import Choose, Estimator, Key, Selection

_OF_SCORES = ("weights", "one_hot")


def semi_sampling(estimator: Estimator, coin: Number) -> Estimator:
    """Sample with a given probability, and give the expectation otherwise, for less variance.

    An expectation is not credited: its `log_prob` is 0, and its gradient passes through it.

    Args:
      estimator: of scores; what is wrapped.
      coin: the probability of a sample, in [0, 1], drawn anew for each example and step; or a
        boolean [], True for samples, that decides for the whole batch, as in the authors' code
        (in their paper it is drawn for each image). May be traced.

    Raises:
      ValueError: if the estimator is not of scores, or the probability is a number outside [0, 1].

    Reference: Xu et al. 2015, section 4.1.
    """
    _check_of_scores("semi_sampling", estimator)
    decided = jnp.result_type(coin) == jnp.bool_
    if not decided and not isinstance(coin, jax.core.Tracer) and not 0 <= float(coin) <= 1:
        raise ValueError(f"coin must be a probability in [0, 1]; got {float(coin):g}")

    def choose(key: Key | None, scores: Array) -> Selection:
        key, toss = jax.random.split(require_key("semi_sampling", key))
        heads = jnp.asarray(coin) if decided else jax.random.bernoulli(toss, coin)
        sampled = estimator.choose(key, scores)
        where = jnp.where(heads, sampled.where, sampled.mean)
        log_prob = jnp.where(heads, sampled.log_prob, 0.0)
        return sampled._replace(where=where, log_prob=log_prob)

    return Estimator(choose, estimator.greedy, estimator.credit, "weights")


def with_temperature(estimator: Estimator, tau: Number) -> Estimator:
    """Apply an estimator to e / tau: its weights and probabilities are sharper for tau below 1.

    Args:
      estimator: of scores; what is wrapped.
      tau: may be traced.

    Raises:
      ValueError: if the estimator is not of scores, or tau is a number that is not positive.
    """
    _check_of_scores("with_temperature", estimator)
    check_positive("tau", tau)

    def after_division(choose: Choose) -> Choose:
        return lambda key, scores: choose(key, divide_scores(scores, tau))

    choose, greedy = after_division(estimator.choose), after_division(estimator.greedy)
    return estimator._replace(choose=choose, greedy=greedy)


def _check_of_scores(name: str, estimator: Estimator) -> None:
    if estimator.gives not in _OF_SCORES:
        raise ValueError(
            f"{name} wraps estimators of scores, which give {' or '.join(_OF_SCORES)}; "
            f"got one that gives {estimator.gives!r}"
        )
