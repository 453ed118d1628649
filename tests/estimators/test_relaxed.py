"""Relaxed choices: one-hots with a gradient, tempered softmaxes, pathwise locations."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from attn_jax import estimators
from tests.estimators_ours import (
    KEY,
    MASKED,
    MEAN,
    OURS,
    SAMPLES,
    SCORES,
    TAU,
    THROUGH,
    WEIGHTS,
    many,
    named,
    softmax,
)


def backward(name, scores, key=KEY):
    def total(scores):
        return (OURS[name].choose(key, scores).where * WEIGHTS).sum()

    return jax.jit(jax.grad(total))(jnp.asarray(scores))


def softmax_gradient(logits):
    """d/de of sum_i w_i softmax(e / tau)_i at e / tau = logits, by hand."""
    p = softmax(logits)
    return p * (WEIGHTS - (p * WEIGHTS).sum()) / TAU


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
@named("categorical", *THROUGH)
def test_straight_through_choices_are_one_hots_as_frequent_as_a_categorical(name, scores):
    keys = jax.random.split(KEY, SAMPLES)
    drawn = jax.jit(jax.vmap(OURS[name].choose, (0, None)))(keys, jnp.asarray(scores))
    where, p = np.asarray(drawn.where), softmax(scores)
    np.testing.assert_array_equal(np.sort(where, -1), np.eye(5)[[4] * SAMPLES])
    assert scipy.stats.chisquare(where.sum(0)[p > 0], SAMPLES * p[p > 0]).pvalue > 1e-3
    np.testing.assert_allclose(drawn.log_prob, np.log(p[where.argmax(-1)]), rtol=1e-5)


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
def test_straight_through_goes_back_through_the_softmax_of_its_paper(scores):
    noise = np.asarray(jax.random.gumbel(KEY, scores.shape))
    behind = {"straight_through": scores, "straight_through_gumbel": scores + noise}
    for name, logits in behind.items():
        expected = softmax_gradient(logits / TAU)
        np.testing.assert_allclose(backward(name, scores), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
def test_gumbel_softmax_is_the_tempered_softmax_of_noisy_scores(scores):
    noisy = (scores + np.asarray(jax.random.gumbel(KEY, scores.shape))) / TAU
    chosen = jax.jit(OURS["gumbel_softmax"].choose)(KEY, jnp.asarray(scores))
    np.testing.assert_allclose(chosen.where, softmax(noisy), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(chosen.mean, softmax(scores), rtol=1e-5, atol=1e-7)
    assert chosen.log_prob == 0
    np.testing.assert_allclose(
        backward("gumbel_softmax", scores), softmax_gradient(noisy), rtol=1e-4, atol=1e-6
    )


def test_greedy_of_relaxed_choices_has_its_noise_at_the_mode():
    for name in THROUGH:
        np.testing.assert_array_equal(
            OURS[name].greedy(None, jnp.asarray(MASKED)).where, np.eye(5)[2]
        )
    soft = OURS["gumbel_softmax"].greedy(None, jnp.asarray(MASKED)).where
    np.testing.assert_allclose(soft, softmax(MASKED / TAU), rtol=1e-5)
    np.testing.assert_array_equal(
        OURS["pathwise_gaussian"].greedy(None, jnp.asarray(MEAN)).where, MEAN
    )


def test_a_pathwise_location_is_the_gaussian_one_with_a_gradient():
    chex.assert_trees_all_close(many("pathwise_gaussian"), many("gaussian"), rtol=1e-6)
    jacobian = jax.jacrev(lambda mu: OURS["pathwise_gaussian"].choose(KEY, mu).where)
    np.testing.assert_array_equal(jacobian(jnp.asarray(MEAN)), np.eye(2))


@pytest.mark.parametrize(
    "make",
    [
        estimators.gumbel_softmax,
        estimators.straight_through,
        estimators.straight_through_gumbel,
        lambda tau: estimators.with_temperature(estimators.expectation(), tau),
    ],
)
def test_a_temperature_has_a_gradient_whatever_is_masked(make):
    def total(tau):
        return (make(tau).choose(KEY, jnp.asarray(MASKED)).where * WEIGHTS).sum()

    gradient = jax.jit(jax.grad(total))(TAU)
    assert np.isfinite(gradient) and gradient != 0
