"""What is chosen, held against scipy: probabilities, frequencies, entropies, modes, keys."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from attn_jax import estimators
from tests.estimators_ours import (
    CONTROLS,
    KEY,
    MASKED,
    MEAN,
    OF_POINTS,
    OF_SCORES,
    OURS,
    SAMPLERS,
    SAMPLES,
    SCORES,
    SIGMA,
    THROUGH,
    choice,
    many,
    named,
    proposal,
    softmax,
)


@pytest.mark.parametrize(("name", "scores"), [("categorical", SCORES), ("masked", MASKED)])
def test_a_categorical_choice_is_a_one_hot_with_its_own_log_probability(name, scores):
    drawn = many(name)
    where = np.asarray(drawn.where)
    np.testing.assert_array_equal(np.sort(where, -1), np.eye(5)[[4] * SAMPLES])
    p = softmax(scores)
    chosen = where.argmax(-1)
    np.testing.assert_allclose(drawn.log_prob, np.log(p[chosen]), rtol=1e-5)
    np.testing.assert_allclose(drawn.mean[0], p, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(drawn.entropy[0], scipy.stats.entropy(p), rtol=1e-5)


@pytest.mark.parametrize(("name", "scores"), [("categorical", SCORES), ("masked", MASKED)])
def test_categorical_frequencies_are_the_probabilities(name, scores):
    p = softmax(scores)
    counts = np.asarray(many(name).where).sum(0)
    assert counts[p == 0].sum() == 0
    assert scipy.stats.chisquare(counts[p > 0], SAMPLES * p[p > 0]).pvalue > 1e-3


def test_a_gaussian_location_has_its_own_log_probability():
    drawn = many("gaussian")
    density = scipy.stats.multivariate_normal(MEAN, SIGMA**2 * np.eye(2))
    np.testing.assert_allclose(drawn.log_prob, density.logpdf(drawn.where), atol=1e-4)
    np.testing.assert_allclose(drawn.entropy, np.full(SAMPLES, density.entropy()), rtol=1e-5)
    np.testing.assert_array_equal(drawn.mean[0], MEAN)


def test_a_uniform_location_has_its_own_log_probability():
    drawn = many("random_point")
    density = scipy.stats.uniform(-0.7, 1.4)
    np.testing.assert_allclose(drawn.log_prob, density.logpdf(drawn.where).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(drawn.entropy, np.full(SAMPLES, 2 * density.entropy()), rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_locations_are_distributed_as_they_say(axis):
    normal = scipy.stats.norm(MEAN[axis], SIGMA).cdf
    assert scipy.stats.kstest(many("gaussian").where[:, axis], normal).pvalue > 1e-3
    even = scipy.stats.uniform(-0.7, 1.4).cdf
    assert scipy.stats.kstest(many("random_point").where[:, axis], even).pvalue > 1e-3


@named("gaussian", "random_point")
def test_x_and_y_are_drawn_independently(name):
    correlation = np.corrcoef(np.asarray(many(name).where).T)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(SAMPLES)


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
def test_expectation_is_the_softmax(scores):
    chosen = jax.jit(estimators.expectation().choose)(None, jnp.asarray(scores))
    p = softmax(scores)
    np.testing.assert_allclose(chosen.where, p, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(chosen.where, chosen.mean)
    np.testing.assert_allclose(chosen.entropy, scipy.stats.entropy(p), rtol=1e-5)
    assert chosen.log_prob == 0


@pytest.mark.parametrize(("scores", "places"), [(SCORES, 5), (MASKED, 3)], ids=["all", "masked"])
def test_uniform_is_even_over_what_is_there(scores, places):
    chosen = jax.jit(estimators.uniform().choose)(None, jnp.asarray(scores))
    np.testing.assert_allclose(chosen.where, (scores > -np.inf) / places, rtol=1e-6)
    np.testing.assert_allclose(chosen.entropy, np.log(places), rtol=1e-5)
    assert chosen.log_prob == 0


@named(*OF_SCORES)
def test_with_everything_masked_nothing_is_chosen(name):
    nothing = jnp.full((2, 3), -jnp.inf)
    chosen = jax.jit(OURS[name].choose)(KEY, nothing)
    for part in (chosen.where, chosen.mean, chosen.log_prob, chosen.entropy):
        np.testing.assert_array_equal(part, 0)


def test_identity_and_fixed_point_give_what_they_were_given():
    np.testing.assert_array_equal(choice("identity").where, proposal("identity"))
    np.testing.assert_array_equal(choice("fixed_point").where, [0.25, -0.5])
    for name in ("identity", "fixed_point"):
        assert choice(name).log_prob == choice(name).entropy == 0


@named(*OF_SCORES)
def test_there_must_be_something_to_choose(name):
    with pytest.raises(ValueError, match=r"scores must have at least one place; got shape \(0,\)"):
        OURS[name].choose(KEY, jnp.zeros(0))


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("gives", ["smell", "weights"])
def test_identity_gives_what_some_read_takes(gives):
    with pytest.raises(ValueError, match=f"gives must be one of .*, theta; got '{gives}'"):
        estimators.identity(gives=gives)


def test_greedy_is_the_mode():
    for scores in (SCORES, MASKED):
        chosen = estimators.categorical().greedy(None, jnp.asarray(scores))
        np.testing.assert_array_equal(chosen.where, np.eye(5)[2])
        np.testing.assert_allclose(chosen.log_prob, np.log(softmax(scores)[2]), rtol=1e-5)
    chosen = OURS["gaussian"].greedy(None, jnp.asarray(MEAN))
    np.testing.assert_array_equal(chosen.where, MEAN)
    density = scipy.stats.multivariate_normal(MEAN, SIGMA**2 * np.eye(2))
    np.testing.assert_allclose(chosen.log_prob, density.logpdf(MEAN), rtol=1e-5)


@named("expectation", "sparsemax", "identity", *CONTROLS)
def test_greedy_is_choose_where_there_is_no_other_mode(name):
    assert OURS[name].greedy is OURS[name].choose


@named(*SAMPLERS)
def test_a_key_decides(name):
    chex.assert_trees_all_equal(choice(name), choice(name))
    assert len(np.unique(many(name).where, axis=0)) > 1


@named(*SAMPLERS)
def test_sampling_without_a_key_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} samples, so it needs a key; got None"):
        OURS[name].choose(None, proposal(name))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("group", [OF_SCORES, OF_POINTS], ids=["scores", "points"])
def test_any_estimator_can_stand_in_for_another_in_a_branch(group, dtype):
    def either(first, key, given):
        branches = [group[name].choose for name in group]
        return jax.lax.switch(first, branches, key, given)

    given = proposal(next(iter(group))).astype(dtype)
    chosen = jax.jit(either)(1, KEY, given)
    chex.assert_tree_all_finite(chosen)
    assert len({leaf.dtype for leaf in chosen}) == 1


@named()
def test_bfloat16_proposals_are_finite_and_close(name):
    narrow = jax.jit(OURS[name].choose)(KEY, proposal(name).astype(jnp.bfloat16))
    chex.assert_tree_all_finite(narrow)
    wide = choice(name)
    if name not in SAMPLERS:  # other dtypes draw other bits
        np.testing.assert_allclose(narrow.where.astype(jnp.float32), wide.where, rtol=0.02)
    np.testing.assert_allclose(narrow.entropy.astype(jnp.float32), wide.entropy, rtol=0.02)


@named("categorical", *THROUGH)
def test_narrow_scores_are_sampled_as_they_say(name):
    scores = jnp.zeros(64, jnp.bfloat16)  # noise of bfloat16 would prefer the first of many
    keys = jax.random.split(KEY, SAMPLES)
    where = jax.jit(jax.vmap(OURS[name].choose, (0, None)))(keys, scores).where
    assert scipy.stats.chisquare(np.asarray(where).sum(0)).pvalue > 1e-3


def test_a_random_point_needs_somewhere_to_be():
    with pytest.raises(ValueError, match="extent must be positive; got 0"):
        estimators.random_point(0.0)
