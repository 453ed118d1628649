"""Figures of transforms by closed forms, and by the places they read."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import transforms
from attn_jax.ops.transforms import determinant, distance_from_identity, outside, scale
from tests.source_checks import refuses
from tests.xla import QUICK

_jit = functools.partial(jax.jit, compiler_options=QUICK)

FAMILIES = {
    "isotropic": transforms.isotropic(),
    "full_affine": transforms.full_affine(),
    "corners": transforms.corners(),
    "control_points": transforms.control_points(3),
    "affine_3d": transforms.affine_3d(),
}
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def near(family, count=4, by=0.3):
    noise = np.random.default_rng(0).uniform(-by, by, size=(count, family.size))
    return jnp.asarray(np.asarray(family.identity) + noise, jnp.float32)


@families
def test_the_identity_scales_nothing_moves_nothing_and_lies_inside(family):
    found = _jit(lambda v: transforms.figures(family, family.apply(v), 5))(family.identity)
    np.testing.assert_allclose(found, [0, 1, 1, 0], atol=1e-6)
    assert found.distance == found.outside == 0


@families
def test_figures_are_those_of_single_functions_over_a_batch_with_finite_gradients(family):
    size = 5

    def of_one(vector):
        where = family.apply(vector)
        grid = family.grid(where, size)
        alone = outside(grid), scale(family, where), determinant(family, where)
        return transforms.figures(family, where, size), (*alone, distance_from_identity(grid))

    vectors = near(family)
    found, alone = _jit(jax.vmap(of_one))(vectors)
    np.testing.assert_allclose(jnp.stack(found), jnp.stack(alone), rtol=1e-6)
    slope = _jit(jax.vmap(jax.jacobian(lambda v: jnp.stack(of_one(v)[0]))))
    for at in (vectors, family.identity[None]):
        gradients = slope(at)
        assert np.isfinite(gradients).all()
        assert not gradients[:, 0].any()
    assert (np.abs(slope(vectors)[:, 1:]).max(-1) > 1e-3).all()


@families
def test_a_determinant_is_that_of_the_local_jacobian_by_differences(family):
    """Anywhere of theta, at the centre of a homography, the mean over the output of a spline."""
    with jax.enable_x64(True):
        where = family.apply(jnp.asarray(near(family, 1)[0], jnp.float64))
        n = 41 if family.rank == 2 else 5
        grid = np.asarray(family.grid(where, n, align_corners=True))
        step = 2 / (n - 1)
        # One axis after another, x first: the last axis of the grid but one.
        slopes = [np.gradient(grid, step, axis=a) for a in reversed(range(family.rank))]
        local = np.linalg.det(np.stack(slopes, -1))
        middle = (n // 2,) * family.rank
        # The trapezoidal rule over the output: half a weight at each edge.
        weights = np.ones(n)
        weights[[0, -1]] = 0.5
        mean = np.average(np.average(local, -1, weights), -1, weights)
        expected = mean if family.gives == "control_points" else local[middle]
        tolerance = 1e-2 if family.gives != "theta" else 1e-6
        np.testing.assert_allclose(determinant(family, where), expected, rtol=tolerance)


def test_closed_forms():
    boxes = transforms.axis_aligned()
    where = boxes.apply(jnp.array([2.0, -0.5, 0.0, 0.0]))
    assert determinant(boxes, where) == -1 and scale(boxes, where) == 1
    deep = transforms.affine_3d()
    np.testing.assert_allclose(scale(deep, 0.5 * jnp.eye(3, 4)), 0.5, rtol=1e-6)
    # A shift of half the width: the right half is read outside.
    move = transforms.translation()
    grid = move.grid(move.apply(jnp.array([1.0, 0.0])), (6, 8))
    assert outside(grid) == 0.5 and distance_from_identity(grid) == 1
    # Half a turn moves each place by twice its distance from the centre.
    turn = transforms.rotation()
    grid = turn.grid(turn.apply(jnp.array([np.pi])), 4)
    centres = np.array([-0.75, -0.25, 0.25, 0.75])
    expected = 2 * np.sqrt(2 * (centres**2).mean())
    np.testing.assert_allclose(distance_from_identity(grid), expected, rtol=1e-6)


def test_a_zoom_out_by_28_is_seen():
    """A collapse that was met: the determinant is 28, and nearly all that is read lies outside."""
    zoom = transforms.isotropic()
    found = transforms.figures(zoom, zoom.apply(jnp.array([28**0.5, 0.0, 0.0])), 28)
    np.testing.assert_allclose(found.determinant, 28, rtol=1e-6)
    assert found.outside > 0.95


def test_a_homography_to_infinity_has_figures_and_no_nan():
    family = transforms.projective()

    def of(vector):
        return jnp.stack(transforms.figures(family, family.apply(vector), 4))

    found, slope = _jit(lambda v: (of(v), jax.jacobian(of)(v)))(jnp.zeros(8))  # singular
    assert found[0] == 1 and found[2] == 0 and 22 < found[3] < 25
    assert np.isfinite(slope).all()
    horizon = jnp.eye(3).at[2, 2].set(0.0).at[2, 0].set(1.0)
    assert np.isposinf(_jit(lambda h: determinant(family, h))(horizon))


@pytest.mark.usefixtures("bad_input")
def test_bad_input_is_one_clear_line():
    with refuses(r"grid must be \[h, w, 2\] or \[d, h, w, 3\]; got \(4, 2\)"):
        distance_from_identity(jnp.zeros((4, 2)))
    with refuses(r"where must have shape \(3, 3\); got \(2, 3\)"):
        determinant(transforms.corners(), jnp.eye(2, 3))
    with refuses("grid must be floating point; got int32", TypeError):
        outside(jnp.zeros((4, 2), jnp.int32))
