"""Homographies against float64 NumPy; what they send to infinity reads as nothing, never as NaN."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from attn_jax.ops import affine_grid, grid_sample, projective_grid
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)

SIZE = (3, 5)
BOTH = pytest.mark.parametrize("align_corners", [False, True])
EYE = np.eye(3)
# One traced: in it a homography is never known, so that singular ones are not refused.
grid_of = _jit(projective_grid, static_argnums=1, static_argnames="align_corners")


@functools.partial(_jit, static_argnames="align_corners")
def batched(homographies, align_corners=False):
    of_one = functools.partial(projective_grid, size=SIZE, align_corners=align_corners)
    return jax.vmap(of_one)(homographies)


def oracle(h, align_corners=False, size=SIZE):
    """One place at a time, in float64: the grid and w."""
    out, depth = np.zeros((*size, 2)), np.zeros(size)
    for row, column in np.ndindex(size):
        if align_corners:
            x, y = (2 * i / (n - 1) - 1 for i, n in ((column, size[1]), (row, size[0])))
        else:
            x, y = ((2 * i + 1) / n - 1 for i, n in ((column, size[1]), (row, size[0])))
        u, v, w = np.asarray(h, np.float64) @ [x, y, 1]
        out[row, column], depth[row, column] = (u / w, v / w), w
    return out, depth


def around_the_identity(count, spread=1.0):
    return EYE + spread * np.random.default_rng(0).uniform(-1, 1, size=(count, 3, 3))


@BOTH
def test_random_homographies_agree_with_numpy_in_float64(align_corners):
    homographies = around_the_identity(200)
    with jax.enable_x64(True):
        ours = batched(jnp.asarray(homographies), align_corners=align_corners)
    assert ours.dtype == np.float64
    for h, grid in zip(homographies, ours, strict=True):
        np.testing.assert_allclose(grid, oracle(h, align_corners)[0], rtol=1e-9, atol=1e-9)


def test_float32_is_as_near_as_the_denominator_allows():
    homographies = around_the_identity(200).astype(np.float32)
    for h, grid in zip(homographies, batched(homographies), strict=True):
        expected, depth = oracle(h)
        error = np.abs(grid - expected) * depth[..., None] ** 2
        assert error.max() < 1e-5


@BOTH
def test_an_affine_homography_is_an_affine_grid(align_corners):
    theta = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    bottom = jnp.array([[0.0, 0.0, 1.0]])
    ours = grid_of(jnp.concatenate([theta, bottom]), (4, 7), align_corners=align_corners)
    affine = affine_grid(jnp.asarray(theta), (4, 7), align_corners=align_corners)
    np.testing.assert_allclose(ours, affine, atol=1e-6)


@pytest.mark.parametrize("factor", [-3.0, 1e-30, 1e30])
def test_a_factor_changes_nothing(factor):
    h = around_the_identity(1, 0.3)[0].astype(np.float32)
    scaled = np.float32(factor) * h
    np.testing.assert_allclose(grid_of(scaled, SIZE), grid_of(h, SIZE), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_gradients_forward_and_back(order):
    with jax.enable_x64(True):
        h = jnp.asarray(around_the_identity(1, 0.2)[0])
        check_grads(jax.jit(lambda h: projective_grid(h, (1, 2))), (h,), order=order)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_homographies_are_computed_wide(dtype):
    h = jnp.asarray(around_the_identity(1, 0.3)[0], dtype)
    grid = grid_of(h, SIZE)
    assert grid.dtype == jnp.float32
    np.testing.assert_allclose(grid, oracle(np.asarray(h, np.float64))[0], atol=1e-5)


IMAGE = jnp.asarray(np.random.default_rng(1).uniform(0.5, 1, size=(6, 6, 1)), jnp.float32)


def total(h):
    return (grid_sample(IMAGE, projective_grid(h, SIZE)) ** 2).sum()


@_jit
def every_derivative(h):
    """The grid, what is read, and its gradient, forward and of second order."""
    value, gradient = jax.value_and_grad(total)(h)
    forward = jax.jvp(total, (h,), (jnp.ones_like(h),))[1]
    second = jax.jvp(jax.grad(total), (h,), (jnp.ones_like(h),))[1]
    return projective_grid(h, SIZE), value, (gradient, forward, second)


INFINITE = {
    "zero": np.zeros((3, 3)),
    "no bottom row": [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
    "two rows alike": [[1, 2, 3], [2, 4, 6], [0, 0, 1]],
    "two rows alike to rounding": [[0.1, 0.2, 0.3], [0.7, 1.4, 2.1], [0.3, 0.1, 1]],
    "columns alike": [[1, 1, 0], [2, 2, 1], [3, 3, 1]],
    "a denominator of -inf": [[1, 0, 0], [0, 1, 0], [0, 0, -np.inf]],
    "a denominator of -inf on one side": [[1, 0, 0], [0, 1, 0], [-np.inf, 0, 1]],
    "an infinite place": [[1, 0, np.inf], [0, 1, 0], [0, 0, 1]],
    "denormal": 1e-42 * EYE,
    "a quotient beyond float32": [[1e38, 0, 1e38], [0, 1e38, 1e38], [1e-30, 0, 2e-30]],
}


@pytest.mark.parametrize("h", INFINITE.values(), ids=INFINITE)
def test_a_traced_homography_that_is_singular_reads_zeros_with_zero_gradient(h):
    grid, value, derivatives = every_derivative(jnp.asarray(h, jnp.float32))
    assert np.isposinf(grid).all()
    for part in (value, *derivatives):
        np.testing.assert_array_equal(part, 0)


def test_only_the_places_on_the_horizon_are_infinite():
    h = jnp.array([[0.3, 0, 0.05], [0, 0.3, 0], [1, 0, 0.0]])  # w = x: 0 in the middle column
    grid, value, derivatives = every_derivative(h)
    assert np.isposinf(grid[:, 2]).all()
    sides = np.array([0, 1, 3, 4])
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = oracle(h)[0][:, sides]
    np.testing.assert_allclose(grid[:, sides], expected, rtol=1e-5)

    def of_sides(h):
        return (grid_sample(IMAGE, projective_grid(h, SIZE)[:, sides]) ** 2).sum()

    rest, gradient = _jit(jax.value_and_grad(of_sides))(h)
    np.testing.assert_allclose(value, rest, rtol=1e-6)
    np.testing.assert_allclose(derivatives[0], gradient, rtol=1e-5)
    assert np.abs(gradient).max() > 0.1


numbers = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-42, -1e-38, 3e38, -3e38, np.inf, -np.inf, 1e-7]),
    st.floats(-2, 2, width=32),
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(numbers, min_size=9, max_size=9))
def test_nothing_gives_nan(entries):
    h = jnp.asarray(np.array(entries, np.float32).reshape(3, 3))
    grid, *rest = every_derivative(h)
    for leaf in jax.tree.leaves((grid, rest)):
        assert not np.isnan(leaf).any()


def test_a_nan_is_seen():
    assert np.isnan(grid_of(jnp.asarray(EYE, jnp.float32).at[0, 1].set(jnp.nan), SIZE)).all()


REFUSED = [
    *(h for name, h in INFINITE.items() if name not in ("denormal", "a quotient beyond float32"))
]
REFUSED += [np.diag([1, np.nan, 1])]


@pytest.mark.parametrize("h", REFUSED)
def test_a_homography_known_to_be_singular_is_refused_also_under_jit(h):
    h = jnp.asarray(h, jnp.float32)
    message = r"homography must be invertible and finite; got \[\["
    with pytest.raises(ValueError, match=message):
        projective_grid(h, SIZE)
    with pytest.raises(ValueError, match=message):
        jax.jit(lambda x: x + projective_grid(h, SIZE))(0.0)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
    "h",
    [np.diag([1e-3, 1e-3, 1]), np.diag([1e-6, 1, 1e6]), [[1e-5, 0, 1], [0, 1e-5, 1], [0, 0, 1]]],
)
def test_a_strong_zoom_is_not_singular(h, dtype):
    h = jnp.asarray(h, dtype)
    known = _jit(lambda: projective_grid(h, SIZE))()
    np.testing.assert_allclose(known, grid_of(h, SIZE), rtol=1e-6)
    assert np.isfinite(known).all()


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("shape", [(2, 3), (9,), (1, 3, 3)])
def test_a_homography_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"homography .* \(3, 3\); got " + re.escape(f"{shape}")):
        projective_grid(jnp.ones(shape), SIZE)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("size", [(0, 4), (2, -1), (4,), (2, 2, 2)])
def test_a_size_that_is_no_plane_is_refused(size):
    with pytest.raises(ValueError, match=r"size must be \(h, w\).*; got " + re.escape(f"{size}")):
        projective_grid(jnp.eye(3), size)
