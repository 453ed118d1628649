"""What a reward credits, what is differentiable, and what has no gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.estimators_ours import (
    CONTROLS,
    CREDITED,
    KEY,
    MASKED,
    MEAN,
    OF_SCORES,
    OURS,
    RELAXED,
    SCORES,
    SIGMA,
    named,
    proposal,
    softmax,
)


def credited(name, reward, baseline):
    """The gradient of the credit of one choice, and the choice."""

    def total(given, reward, baseline):
        chosen = OURS[name].choose(KEY, given)
        return OURS[name].credit(chosen, reward, baseline), chosen

    gradient = jax.grad(total, (0, 1, 2), has_aux=True)
    return jax.jit(gradient)(proposal(name), jnp.asarray(reward), jnp.asarray(baseline))


@pytest.mark.parametrize(("reward", "baseline"), [(1.0, 0.25), (0.0, 0.25), (-2.0, 1.0)])
def test_the_gradient_of_credit_is_the_score_weighed_by_the_advantage(reward, baseline):
    (gradient, _, _), chosen = credited("categorical", reward, baseline)
    score = np.asarray(chosen.where) - softmax(SCORES)  # of log p, by hand
    np.testing.assert_allclose(gradient, (reward - baseline) * score, atol=1e-5)
    (gradient, _, _), chosen = credited("gaussian", reward, baseline)
    score = (np.asarray(chosen.where) - MEAN) / SIGMA**2
    np.testing.assert_allclose(gradient, (reward - baseline) * score, rtol=1e-4)


@named()
def test_reward_and_baseline_get_no_gradient(name):
    (_, to_reward, to_baseline), _ = credited(name, 1.0, 0.25)
    assert to_reward == to_baseline == 0


@named(*[name for name in OURS if name not in CREDITED])
def test_soft_choices_and_controls_are_not_credited(name):
    (gradient, _, _), chosen = credited(name, 1.0, 0.25)
    np.testing.assert_array_equal(gradient, 0)
    credit = OURS[name].credit(chosen, jnp.ones((2, 3)), jnp.zeros((2, 3)))
    np.testing.assert_array_equal(credit, np.zeros((2, 3)))


@pytest.mark.parametrize("how", ["choose", "greedy"])
@named(*CREDITED)
def test_nothing_flows_through_a_hard_choice(name, how):
    def total(given):
        where = getattr(OURS[name], how)(KEY, given).where
        return (where * jnp.arange(1.0, 1 + where.size)).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(proposal(name)), 0)


@named("expectation", "identity", *RELAXED)
def test_soft_and_relaxed_choices_are_differentiable(name):
    def total(given):
        where = OURS[name].choose(KEY, given).where
        return (where.ravel() * jnp.arange(1.0, 1 + where.size)).sum()

    assert np.all(jax.jit(jax.grad(total))(proposal(name)) != 0)


@named(*CONTROLS)
def test_controls_ignore_the_proposal(name):
    given = jnp.asarray(MASKED) if name in OF_SCORES else proposal(name)

    def total(given):
        return sum(leaf.sum() for leaf in jax.tree.leaves(OURS[name].choose(KEY, given)))

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(given), 0)
    chex.assert_trees_all_equal(OURS[name].choose(KEY, given), OURS[name].choose(KEY, 3 * given))
