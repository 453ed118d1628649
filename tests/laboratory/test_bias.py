"""The measure itself: what it covers, what it rejects; and the rows of the table in small."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import baselines, estimators
from attn_jax.laboratory import (
    PROBLEMS,
    candidates,
    choice_problem,
    measure,
    objective_gradient,
    point_problem,
)

KEY = jax.random.key(0)
EXACT = np.array([3.0, 4.0])


@pytest.mark.parametrize("bias", [0.0, 0.1])
def test_a_known_bias_and_variance_are_found(bias: float):
    def estimate(key):
        return jnp.asarray(EXACT) + 5 * bias * jnp.array([0.0, 1.0]) + jax.random.normal(key, (2,))

    measured = measure(estimate, EXACT, KEY, tolerance=0.005)
    assert measured.unbiased == (bias == 0)
    np.testing.assert_allclose(measured.bias, bias, atol=measured.half_width)
    np.testing.assert_allclose(measured.variance, 2 / 25, rtol=0.02)
    assert 0 < measured.half_width <= 0.005
    assert measured.count > 100_000 and measured.microseconds > 0


def test_estimates_without_noise_are_exact_to_rounding():
    assert measure(lambda key: jnp.asarray(EXACT), EXACT, KEY).unbiased
    off = measure(lambda key: 1.001 * jnp.asarray(EXACT), EXACT, KEY)
    assert not off.unbiased
    np.testing.assert_allclose(off.bias, 0.001, rtol=1e-3)


def test_beyond_the_limit_the_interval_stays_wide():
    noisy = measure(lambda key: 1e3 * jax.random.normal(key, (2,)), EXACT, KEY, limit=40_000)
    assert noisy.half_width > 0.02


def test_two_choices_are_enumerated_as_by_hand():
    problem = choice_problem((3,), 2)
    first, second = (np.asarray(a, np.float64) for a in problem.parameters)

    def softmax(e):
        return np.exp(e - e.max()) / np.exp(e - e.max()).sum()

    def value(index):
        one = problem.rollout(problem.parameters, given(index), KEY)
        return float(one.reward)

    def given(index):
        steps = iter(index)

        def choose(key, scores):
            return estimators.categorical().greedy(None, jnp.eye(3)[next(steps)])

        return choose

    rewards = {i: value(i) for i in itertools.product(range(3), repeat=2)}

    def expected(first, second):
        return sum(softmax(first)[i] * softmax(second[i])[j] * r for (i, j), r in rewards.items())

    step = 1e-5
    for index in np.ndindex(3):
        moved = step * np.eye(3)[index]
        slope = (expected(first + moved, second) - expected(first - moved, second)) / (2 * step)
        np.testing.assert_allclose(problem.exact[0][index], slope, atol=1e-6)
    for index in np.ndindex(3, 3):
        moved = np.zeros((3, 3))
        moved[index] = step
        slope = (expected(first, second + moved) - expected(first, second - moved)) / (2 * step)
        np.testing.assert_allclose(problem.exact[1][index], slope, atol=1e-6)


def test_the_values_of_a_rollout_are_the_rewards_to_expect():
    problem = choice_problem((3,), 2)
    choose = estimators.categorical().choose
    rolled = jax.jit(jax.vmap(lambda k: problem.rollout(problem.parameters, choose, k)))(
        jax.random.split(KEY, 20_000)
    )
    error = 4 * rolled.reward.std() / np.sqrt(20_000)
    np.testing.assert_allclose(rolled.before[0, 0], rolled.reward.mean(), atol=error)
    np.testing.assert_array_equal(rolled.before[:, 1], rolled.after[:, 0])
    np.testing.assert_allclose(rolled.after[:, 1], rolled.reward, rtol=1e-5)


TWICE = functools.cache(PROBLEMS["5 items, twice"])


@pytest.mark.parametrize("baseline", ["zero", "learned_value", "leave_one_out", "self_critical"])
def test_baselines_before_the_choice_are_unbiased(baseline: str):
    estimate = objective_gradient(
        TWICE(), estimators.categorical(), getattr(baselines, baseline)(), 2
    )
    measured = measure(estimate, TWICE().exact, KEY, tolerance=0.03)
    assert measured.half_width <= 0.03 and measured.unbiased


def test_a_baseline_after_the_choice_is_rejected_by_the_same_test():
    estimate = objective_gradient(
        TWICE(), estimators.categorical(), baselines.learned_value(), 2, lambda r: r.after
    )
    assert not measure(estimate, TWICE().exact, KEY, tolerance=0.03).unbiased


def test_the_pathwise_and_the_score_gradient_of_a_point_agree_with_its_integral():
    problem = point_problem(0.3)
    for make in (estimators.gaussian, estimators.pathwise_gaussian):
        estimate = objective_gradient(problem, make(0.3), baselines.learned_value(), 1)
        assert measure(estimate, problem.exact, KEY, tolerance=0.06).unbiased


def test_the_table_has_every_estimator_of_scores_and_points():
    found = [candidate for make in PROBLEMS.values() for candidate in candidates(make())]
    named = {candidate.estimator.split("(")[0] for candidate in found}
    without = {"uniform", "random_point", "fixed_point", "identity", "fixed_transform"}
    beside = {"semi_sampling", "enumeration", "rebar"}
    assert named == set(estimators.MEMBERS) - without | beside
    assert {candidate.baseline for candidate in found} >= set(baselines.BASELINES)


def test_steps_are_one_or_two():
    with pytest.raises(ValueError, match="steps must be 1 or 2; got 3"):
        choice_problem((3,), 3)
