"""Credit: the score function's gradient, and that a soft choice gets none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.losses import no_credit, score_function
from attn_jax.types import Selection

REWARD = jnp.array([[1.0, 0.0, 2.0], [0.5, -1.0, 3.0]])
BASELINE = jnp.array([[0.25, 0.25, 0.25], [1.0, 1.0, 1.0]])
LOG_PROB = jnp.array([[-0.5, -1.5, -2.5], [-0.1, -0.2, -0.3]])


def credit_of(credit):
    def total(log_prob, reward, baseline):
        selection = Selection(jnp.zeros(2), jnp.zeros(2), log_prob, jnp.ones_like(log_prob))
        return credit(selection, reward, baseline).sum()

    return jax.value_and_grad(total, (0, 1, 2))(LOG_PROB, REWARD, BASELINE)


def test_score_function_weighs_log_probability_by_the_advantage():
    value, (to_log_prob, _, _) = credit_of(score_function)
    np.testing.assert_allclose(value, ((REWARD - BASELINE) * LOG_PROB).sum(), rtol=1e-6)
    np.testing.assert_allclose(to_log_prob, REWARD - BASELINE)


@pytest.mark.parametrize("credit", [score_function, no_credit], ids=lambda c: c.__name__)
def test_reward_and_baseline_are_constants(credit):
    _, (_, to_reward, to_baseline) = credit_of(credit)
    np.testing.assert_array_equal(to_reward, 0)
    np.testing.assert_array_equal(to_baseline, 0)


def test_no_credit_is_zero_in_value_and_gradient():
    value, (to_log_prob, _, _) = credit_of(no_credit)
    assert value == 0
    np.testing.assert_array_equal(to_log_prob, 0)


@pytest.mark.parametrize("credit", [score_function, no_credit], ids=lambda c: c.__name__)
def test_credit_is_elementwise(credit):
    selection = Selection(jnp.zeros(2), jnp.zeros(2), LOG_PROB, LOG_PROB)
    assert credit(selection, REWARD, BASELINE).shape == REWARD.shape
