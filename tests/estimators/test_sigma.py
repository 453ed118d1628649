"""Sigma: given, traced, proposed, learned, refused."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from attn_jax import estimators
from tests.estimators_ours import KEY, MEAN, OURS, SIGMA, named


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("sigma", [0, -0.1, float("nan"), np.float32(0), "array"])
def test_sigma_must_be_positive(sigma):
    sigma = jnp.asarray(-0.1) if sigma == "array" else sigma
    for make in (estimators.gaussian, estimators.pathwise_gaussian):
        with pytest.raises(ValueError, match=f"sigma must be positive; got {float(sigma):g}"):
            make(sigma)


def test_a_traced_sigma_never_retraces():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def location(sigma, mean):
        return estimators.gaussian(sigma).choose(KEY, mean)

    for sigma in (0.1, 0.2, 0.4):
        traced = location(jnp.asarray(sigma), jnp.asarray(MEAN))
        fixed = estimators.gaussian(sigma).choose(KEY, jnp.asarray(MEAN))
        chex.assert_trees_all_close(traced, fixed, rtol=1e-5)


@named("gaussian", "pathwise_gaussian")
def test_a_proposed_sigma_is_the_one_that_is_used(name):
    make = getattr(estimators, name)
    mu, sigma = jnp.asarray(MEAN), jnp.array([0.2, 0.3])
    chosen = make().choose(KEY, (mu, sigma))
    density = scipy.stats.norm(MEAN, sigma)
    np.testing.assert_allclose(chosen.log_prob, density.logpdf(chosen.where).sum(), rtol=1e-5)
    np.testing.assert_allclose(chosen.entropy, density.entropy().sum(), rtol=1e-5)
    same = make().choose(KEY, (mu, jnp.asarray(SIGMA)))
    chex.assert_trees_all_close(same, OURS[name].choose(KEY, mu), rtol=1e-6)


def test_the_score_reaches_a_proposed_sigma():
    def log_prob(sigma):
        chosen = estimators.gaussian().choose(KEY, (jnp.asarray(MEAN), sigma))
        return chosen.log_prob, chosen.where

    gradient, where = jax.grad(log_prob, has_aux=True)(jnp.full(2, SIGMA))
    z = (np.asarray(where) - MEAN) / SIGMA
    np.testing.assert_allclose(gradient, (z**2 - 1) / SIGMA, rtol=1e-4)


@named("fixed_point", "random_point")
def test_controls_take_a_proposal_that_brings_a_sigma(name):
    given = jnp.asarray(MEAN), jnp.full(2, SIGMA)
    chex.assert_trees_all_equal(OURS[name].choose(KEY, given), OURS[name].choose(KEY, given[0]))


@pytest.mark.parametrize("make", [estimators.gaussian, estimators.pathwise_gaussian])
def test_a_sigma_comes_from_one_side_alone(make):
    mu = jnp.asarray(MEAN)
    with pytest.raises(ValueError, match=r"gaussian\(\) takes \(mu, sigma\); got mu alone"):
        make().choose(KEY, mu)
    with pytest.raises(ValueError, match=r"gaussian\(sigma\) takes mu; got \(mu, sigma\)"):
        make(0.1).choose(KEY, (mu, jnp.ones(2)))


def test_sigma_may_differ_between_axes_and_both_must_be_positive():
    sigma = jnp.array([0.2, 0.3])
    given = estimators.gaussian(sigma).choose(KEY, jnp.asarray(MEAN))
    proposed = estimators.gaussian().choose(KEY, (jnp.asarray(MEAN), sigma))
    chex.assert_trees_all_equal(given, proposed)
    with pytest.raises(ValueError, match=r"sigma must be positive; got \[ ?0.2 -0.3\]"):
        estimators.gaussian(jnp.array([0.2, -0.3]))
