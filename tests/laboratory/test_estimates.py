"""Enumeration and REBAR, and the one-step problems they share, against exact gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.laboratory import choice_problem, enumeration, measure, rebar

SCORES = jnp.array([0.5, -1.0, 2.0, 0.0])
REWARDS = jnp.array([1.0, 0.2, -0.5, 0.7])


def reward(where: jax.Array) -> jax.Array:
    """Not linear: a relaxation of it is another function."""
    return jnp.sin(3 * where @ REWARDS) + (where**2 @ REWARDS)


def exact() -> np.ndarray:
    p = np.exp(SCORES) / np.exp(SCORES).sum()
    f = np.array([float(reward(row)) for row in jnp.eye(4)])
    return p * (f - (p * f).sum())


def test_enumeration_is_exact():
    gradient = jax.jit(lambda e: enumeration(None, e, reward))(SCORES)
    np.testing.assert_allclose(gradient, exact(), rtol=1e-5)


@pytest.mark.parametrize(("tau", "eta"), [(0.5, 1.0), (1.0, 0.5), (0.1, 1.0), (0.5, 0.0)])
def test_rebar_is_unbiased_for_any_temperature_and_scale(tau: float, eta: float):
    def estimate(key):
        return rebar(key, SCORES, reward, tau=tau, eta=eta)

    measured = measure(estimate, exact(), jax.random.key(0), tolerance=0.03)
    assert measured.half_width <= 0.03
    assert measured.unbiased


def test_rebar_lowers_the_variance_of_the_score_function():
    problem = choice_problem((5,), 1)
    (scores,) = problem.parameters

    def varies(eta: float) -> float:
        def estimate(key):
            return rebar(key, scores, problem.reward, eta=eta)

        return measure(estimate, problem.exact, jax.random.key(0), tolerance=0.1).variance

    assert varies(1.0) < 0.6 * varies(0.0)


def test_enumeration_of_a_problem_is_its_exact_gradient():
    problem = choice_problem((5,), 1)
    gradient = enumeration(None, problem.parameters[0], problem.reward)
    np.testing.assert_allclose(gradient, problem.exact[0], rtol=1e-4, atol=1e-7)
