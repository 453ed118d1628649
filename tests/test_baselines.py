"""Baselines against numpy: what is compared with, what is trained, what is remembered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import baselines

M, B, T = 3, 2, 4
RNG = np.random.default_rng(0)
REWARD = RNG.normal(size=(M, B, T)).astype(np.float32)
VALUE = RNG.normal(size=(M, B, T)).astype(np.float32)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], np.float32)

OURS = {
    "zero": baselines.zero(),
    "learned_value": baselines.learned_value(),
    "moving_average": baselines.moving_average(0.75),
    "leave_one_out": baselines.leave_one_out(),
    "self_critical": baselines.self_critical(),
}
each = pytest.mark.parametrize("baseline", OURS.values(), ids=OURS)


def asked(baseline, state=None, mask=None):
    state = baseline.init() if state is None else state
    return jax.jit(baseline.apply)(state, jnp.asarray(REWARD), jnp.asarray(VALUE), mask)


@each
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_shapes_and_the_state_are_kept(baseline, mask):
    compared, regression, state = asked(baseline, mask=mask)
    assert compared.shape == regression.shape == (M, B, T)
    before = jax.eval_shape(baseline.init)
    assert jax.tree.structure(state) == jax.tree.structure(before)
    for new, old in zip(jax.tree.leaves(state), jax.tree.leaves(before), strict=True):
        assert (new.shape, new.dtype) == (old.shape, old.dtype)


@each
def test_what_a_reward_is_compared_with_passes_no_gradient_to_the_value(baseline):
    def total(value):
        return baseline.apply(baseline.init(), jnp.asarray(REWARD), value, None)[0].sum()

    np.testing.assert_array_equal(jax.grad(total)(jnp.asarray(VALUE)), 0)


@pytest.mark.parametrize("name", ["zero", "moving_average", "leave_one_out", "self_critical"])
def test_only_a_learned_value_is_trained(name):
    np.testing.assert_array_equal(asked(OURS[name])[1], 0)


@pytest.mark.parametrize("name", ["zero", "moving_average", "leave_one_out"])
def test_only_a_learned_value_needs_a_value(name):
    baseline = OURS[name]
    compared, _, _ = baseline.apply(baseline.init(), jnp.asarray(REWARD), None, None)
    np.testing.assert_allclose(compared, asked(baseline)[0], rtol=1e-6)


def test_zero_is_zero():
    np.testing.assert_array_equal(asked(baselines.zero())[0], 0)


def test_learned_value_compares_with_the_value_and_regresses_it():
    compared, regression, _ = asked(OURS["learned_value"])
    np.testing.assert_array_equal(compared, VALUE)
    np.testing.assert_allclose(regression, (REWARD - VALUE) ** 2, rtol=1e-5)


def test_a_masked_moment_trains_no_value():
    _, regression, _ = asked(OURS["learned_value"], mask=MASK)
    np.testing.assert_allclose(regression, MASK * (REWARD - VALUE) ** 2, rtol=1e-5)


def test_the_regression_trains_the_value_and_not_the_reward():
    def total(value, reward):
        return baselines.learned_value().apply((), reward, value, None)[1].sum()

    gradients = jax.grad(total, (0, 1))(jnp.asarray(VALUE), jnp.asarray(REWARD))
    np.testing.assert_allclose(gradients[0], 2 * (VALUE - REWARD), rtol=1e-5)
    np.testing.assert_array_equal(gradients[1], 0)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_moving_average_is_used_before_it_is_updated(mask):
    compared, _, state = asked(OURS["moving_average"], state=jnp.asarray(0.4), mask=mask)
    weights = np.broadcast_to(np.ones((B, T)) if mask is None else mask, REWARD.shape)
    mean = np.average(REWARD, weights=weights)
    np.testing.assert_allclose(compared, np.full((M, B, T), 0.4), rtol=1e-6)
    np.testing.assert_allclose(state, 0.75 * 0.4 + 0.25 * mean, rtol=1e-5)


def test_moving_average_starts_at_zero_and_approaches_a_steady_reward():
    baseline = baselines.moving_average(0.5)
    state = baseline.init()
    assert state == 0
    for expected in (0.5, 0.75, 0.875):
        _, _, state = baseline.apply(state, jnp.ones((1, 1, 2)), None, None)
        np.testing.assert_allclose(state, expected)


def test_moving_average_of_nothing_is_no_nan():
    _, _, state = asked(OURS["moving_average"], state=jnp.asarray(0.4), mask=np.zeros((B, T)))
    np.testing.assert_allclose(state, 0.75 * 0.4, rtol=1e-6)


def test_leave_one_out_is_the_mean_of_the_others():
    compared, _, _ = asked(OURS["leave_one_out"])
    for m in range(M):
        np.testing.assert_allclose(compared[m], np.delete(REWARD, m, 0).mean(0), rtol=1e-5)


def test_leave_one_out_does_not_depend_on_the_reward_it_is_compared_with():
    def own(reward, m):
        return baselines.leave_one_out().apply((), reward, None, None)[0][m].sum()

    for m in range(M):
        gradient = jax.grad(own)(jnp.asarray(REWARD), m)
        np.testing.assert_array_equal(gradient[m], 0)
        np.testing.assert_allclose(np.delete(gradient, m, 0), 0.5)


def test_a_single_rollout_has_no_others():
    with pytest.raises(ValueError, match="leave_one_out needs at least 2 rollouts; got 1"):
        baselines.leave_one_out().apply((), jnp.ones((1, B, T)), None, None)


def test_self_critical_compares_with_what_stands_in_the_values_place():
    compared, _, _ = asked(OURS["self_critical"])
    np.testing.assert_array_equal(compared, VALUE)
    assert {name: one.takes for name, one in OURS.items() if one.takes != "value"} == {
        "self_critical": "greedy"
    }
    with pytest.raises(ValueError, match=r"needs the greedy rollout's reward .*; got None"):
        baselines.self_critical().apply((), jnp.ones((M, B, T)), None, None)


def test_learned_value_without_a_value_is_refused():
    with pytest.raises(ValueError, match=r"needs the model's value \[M, B, T\]; got None"):
        baselines.learned_value().apply((), jnp.ones((M, B, T)), None, None)


@pytest.mark.parametrize("decay", [1.0, 1.5, -0.1, float("nan")])
def test_a_decay_that_forgets_nothing_or_overshoots_is_refused(decay):
    with pytest.raises(ValueError, match=rf"decay must be in \[0, 1\); got {decay}"):
        baselines.moving_average(decay)
