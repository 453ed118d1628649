"""Coins and temperatures around an estimator."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from attn_jax import estimators
from tests.estimators_ours import KEY, OURS, SCORES, named, softmax


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("tau", [0, -0.1, float("nan"), np.float32(0)])
@pytest.mark.parametrize(
    "make",
    [
        estimators.gumbel_softmax,
        estimators.straight_through,
        estimators.straight_through_gumbel,
        lambda tau: estimators.with_temperature(estimators.categorical(), tau),
    ],
)
def test_a_temperature_must_be_positive(make, tau):
    with pytest.raises(ValueError, match=f"tau must be positive; got {float(tau):g}"):
        make(tau)


def tossed(coin, count=4000):
    wrapped = estimators.semi_sampling(estimators.categorical(), coin)
    keys = jax.random.split(KEY, count)
    return jax.jit(jax.vmap(wrapped.choose, (0, None)))(keys, jnp.asarray(SCORES))


def test_semi_sampling_samples_as_often_as_its_coin_says_and_credits_only_samples():
    chosen = tossed(0.3)
    sampled = np.asarray(chosen.where).max(-1) == 1
    assert scipy.stats.binomtest(int(sampled.sum()), len(sampled), 0.3).pvalue > 1e-3
    np.testing.assert_allclose(chosen.where[~sampled], chosen.mean[~sampled])
    np.testing.assert_array_equal(chosen.log_prob[~sampled], 0)
    p = softmax(SCORES)
    picked = np.asarray(chosen.where)[sampled].argmax(-1)
    np.testing.assert_allclose(chosen.log_prob[sampled], np.log(p[picked]), rtol=1e-5)


def test_one_coin_for_the_batch_falls_once_and_does_not_retrace():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def chosen(coin):
        return tossed(coin, 100)

    for heads in (True, False):
        same = tossed(float(heads), 100)  # the coin that always falls so
        chex.assert_trees_all_close(chosen(jnp.asarray(heads)), same)
        assert ((np.asarray(same.where).max(-1) == 1) == heads).all()


def test_temperature_divides_the_scores():
    wrapped = estimators.with_temperature(estimators.categorical(), 2.0)
    bare, halved = estimators.categorical(), jnp.asarray(SCORES / 2)
    for how in ("choose", "greedy"):
        chex.assert_trees_all_equal(
            getattr(wrapped, how)(KEY, jnp.asarray(SCORES)), getattr(bare, how)(KEY, halved)
        )


@named("gaussian", "identity")
def test_wrappers_of_scores_refuse_the_rest(name):
    for wrap in (estimators.semi_sampling, estimators.with_temperature):
        with pytest.raises(ValueError, match=f"got one that gives '{OURS[name].gives}'"):
            wrap(OURS[name], 0.5)


@pytest.mark.parametrize("coin", [-0.1, 1.1, float("nan")])
def test_a_coin_is_a_probability(coin):
    with pytest.raises(ValueError, match=r"coin must be a probability in \[0, 1\]; got"):
        estimators.semi_sampling(estimators.categorical(), coin)
