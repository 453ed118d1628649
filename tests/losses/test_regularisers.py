"""The doubly stochastic penalty against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.losses import doubly_stochastic


@pytest.mark.parametrize("target", [1.0, 0.5])
@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
def test_each_place_is_compared_with_the_target(lead, target):
    weights = np.random.default_rng(0).dirichlet(np.ones(5), size=(*lead, 4))
    expected = np.zeros(lead)
    for example in np.ndindex(lead):
        for place in range(5):
            attended = sum(weights[example][t][place] for t in range(4))
            expected[example] += (target - attended) ** 2
    out = doubly_stochastic(jnp.asarray(weights, jnp.float32), target)
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_attention_that_covers_every_place_once_costs_nothing():
    assert doubly_stochastic(jnp.eye(4)) == 0


def test_gradient_moves_attention_to_where_it_never_was():
    weights = jnp.array([[1.0, 0.0], [1.0, 0.0]])
    gradient = jax.grad(doubly_stochastic)(weights)
    np.testing.assert_allclose(gradient, [[2.0, -2.0], [2.0, -2.0]])
