"""The doubly stochastic penalty and that of warps, against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.losses import doubly_stochastic, identity_penalty
from attn_jax.ops import transforms
from tests.source_checks import refuses


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


@pytest.mark.parametrize("shape", [(3, 5, 2), (4, 3, 5, 2), (2, 3, 4, 3), (2, 2, 3, 4, 3)])
def test_a_warp_costs_the_mean_square_of_what_it_moves(shape):
    grid = np.random.default_rng(0).normal(size=shape)
    rank = shape[-1]
    size, lead = shape[-rank - 1 : -1], shape[: -rank - 1]
    expected = np.zeros(lead)
    for example in np.ndindex(lead):
        for place in np.ndindex(size):
            still = [(2 * i + 1) / n - 1 for i, n in zip(place, size, strict=True)][::-1]
            expected[example] += ((grid[example][place] - still) ** 2).sum() / np.prod(size)
    out = identity_penalty(jnp.asarray(grid, jnp.float32))
    np.testing.assert_allclose(out, expected, rtol=1e-5)


FAMILIES = [transforms.similarity(), transforms.corners(), transforms.control_points(2)]


@pytest.mark.parametrize("family", [*FAMILIES, transforms.affine_3d()], ids=lambda f: f.gives)
def test_a_warps_penalty_is_the_square_of_its_distance_and_leads_to_the_identity(family):
    @jax.jit
    def penalty(vector):
        grid = family.grid(family.apply(vector), 4)
        return identity_penalty(grid), transforms.distance_from_identity(grid)

    vector = family.identity + 0.1
    cost, distance = penalty(vector)
    gradient = jax.grad(lambda v: penalty(v)[0])(vector)
    np.testing.assert_allclose(cost, distance**2, rtol=1e-5)
    assert penalty(vector - 0.1 * gradient)[0] < cost
    assert penalty(family.identity) == (0, 0)
    at_rest = jax.grad(lambda v: sum(penalty(v)))(family.identity)
    np.testing.assert_allclose(at_rest, 0, atol=1e-6)


def test_a_warp_to_infinity_costs_a_finite_sum_with_zero_gradient():
    grid = jnp.full((2, 2, 2), jnp.inf)
    cost, gradient = jax.value_and_grad(identity_penalty)(grid)
    assert 512 <= cost < 600 and not gradient.any()


@pytest.mark.usefixtures("bad_input")
def test_what_is_no_grid_is_refused():
    with refuses(r"grid must be \[..., h, w, 2\] or \[..., d, h, w, 3\]; got \(2, 3\)"):
        identity_penalty(jnp.zeros((2, 3)))
    with refuses(r"grid must be .*; got \(2, 4, 3\)"):
        identity_penalty(jnp.zeros((2, 4, 3)))
    with refuses("grid must be floating point; got int32", TypeError):
        identity_penalty(jnp.zeros((2, 3, 2), jnp.int32))
