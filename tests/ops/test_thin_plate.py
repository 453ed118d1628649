"""Thin-plate splines against SciPy in float64, and by what they leave alone."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.interpolate import RBFInterpolator

from attn_jax.ops import affine_grid, control_grid, thin_plate_spline_grid
from attn_jax.ops.thin_plate import inverse_points
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)

BOTH = pytest.mark.parametrize("align_corners", [False, True])
RNG = np.random.default_rng(0)
LAYOUTS = {
    "three": np.array([[-0.5, -0.5], [0.7, 0.1], [0.0, 0.8]]),
    "regular": control_grid((3, 4)),
    "scattered": RNG.uniform(-1.5, 1.5, size=(20, 2)),
    "off centre, small": 0.5 + 0.1 * RNG.uniform(-1, 1, size=(6, 2)),
}
layouts = pytest.mark.parametrize("control", LAYOUTS.values(), ids=LAYOUTS)


def places(size, align_corners):
    if align_corners:
        x, y = (np.linspace(-1, 1, n) for n in (size[1], size[0]))
    else:
        x, y = ((np.arange(n) + 0.5) * 2 / n - 1 for n in (size[1], size[0]))
    return np.stack(np.meshgrid(x, y), -1)


def scipy_spline(points, control, size, align_corners):
    spline = RBFInterpolator(control, points, kernel="thin_plate_spline", degree=1)
    return spline(places(size, align_corners).reshape(-1, 2)).reshape(*size, 2)


def compiled(control, size, align_corners=False):
    def of_one(points):
        return thin_plate_spline_grid(points, size, control=control, align_corners=align_corners)

    return _jit(jax.vmap(of_one))


def bent(control, count=10, by=0.3):
    return control + by * np.random.default_rng(1).normal(size=(count, *control.shape))


@BOTH
@pytest.mark.parametrize("name", ["three", "regular", "scattered"])
def test_random_splines_agree_with_scipy(name, align_corners):
    control = LAYOUTS[name]
    points = bent(control)
    with jax.enable_x64(True):
        ours = compiled(control, (4, 7), align_corners)(jnp.asarray(points))
    single = compiled(control, (4, 7), align_corners)(points.astype(np.float32))
    for one, wide, narrow in zip(points, ours, single, strict=True):
        expected = scipy_spline(one, control, (4, 7), align_corners)
        np.testing.assert_allclose(wide, expected, atol=1e-9)
        np.testing.assert_allclose(narrow, expected, atol=1e-5)


@layouts
def test_control_points_that_stay_leave_the_grid(control):
    with jax.enable_x64(True):
        grid = compiled(control, (5, 6))(jnp.asarray(control)[None])[0]
    np.testing.assert_allclose(grid, places((5, 6), False), atol=1e-6)


def test_points_moved_by_an_affine_map_give_its_grid():
    theta = RNG.normal(size=(2, 3)).astype(np.float32)
    control = control_grid(4)
    moved = (control @ theta[:, :2].T + theta[:, 2]).astype(np.float32)
    expected = affine_grid(jnp.asarray(theta), (5, 6))
    np.testing.assert_allclose(compiled(control, (5, 6))(moved[None])[0], expected, atol=1e-5)


def test_the_spline_passes_through_its_points():
    control = control_grid((3, 5))  # where an aligned grid of 3 x 5 has its places
    points = bent(control, 3).astype(np.float32)
    grids = compiled(control, (3, 5), align_corners=True)(points)
    np.testing.assert_allclose(grids.reshape(points.shape), points, atol=1e-5)


def test_the_traced_work_is_one_matrix_product():
    control = control_grid(3)
    traced = jax.make_jaxpr(lambda p: thin_plate_spline_grid(p, (4, 5), control=control))
    names = [e.primitive.name for e in traced(jnp.zeros((9, 2))).eqns]
    assert names.count("dot_general") == 1
    rest = {"sub", "add", "convert_element_type", "reshape", "transpose"}
    assert set(names) <= {"dot_general"} | rest


def test_a_layout_is_solved_once(monkeypatch):
    solved, solve = [], np.linalg.inv
    monkeypatch.setattr(np.linalg, "inv", lambda m: solved.append(m) or solve(m))
    control = np.random.default_rng(2).uniform(-1, 1, size=(5, 2))
    for size in ((2, 2), (3, 2), (2, 2)):
        thin_plate_spline_grid(jnp.zeros((5, 2)), size, control=control)
    assert len(solved) == 1


def test_gradients_to_the_points():
    control = control_grid(3)
    with jax.enable_x64(True):
        points = jnp.asarray(bent(control, 2))
        grid_of = jax.vmap(lambda p: thin_plate_spline_grid(p, (2, 3), control=control))
        check_grads(jax.jit(grid_of), (points,), order=1)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_points_are_computed_wide(dtype):
    control = control_grid(3)
    points = jnp.asarray(bent(control, 1)[0], dtype)
    grid = thin_plate_spline_grid(points, (4, 4), control=control)
    assert grid.dtype == jnp.float32
    expected = scipy_spline(np.asarray(points, np.float64), control, (4, 4), False)
    np.testing.assert_allclose(grid, expected, atol=1e-5)


def test_control_may_be_of_jax_where_it_is_known():
    control = jnp.asarray(control_grid(2), jnp.float32)
    grid = _jit(lambda p: thin_plate_spline_grid(p, (2, 2), control=control))(control)
    np.testing.assert_allclose(grid, places((2, 2), False), atol=1e-6)


def test_a_regular_layout_lies_row_by_row_x_first():
    np.testing.assert_allclose(
        control_grid((2, 3), extent=0.5),
        [[-0.5, -0.5], [0, -0.5], [0.5, -0.5], [-0.5, 0.5], [0, 0.5], [0.5, 0.5]],
    )


SQUARE = control_grid(2)
DEGENERATE = {
    "coincident": (np.concatenate([SQUARE, SQUARE[1:2]]), r"must differ; got .* at 1 and 4"),
    "nearly so": (np.concatenate([SQUARE, SQUARE[:1] + 1e-7]), r"must differ; got .* at 0 and 4"),
    "all one": (np.zeros((4, 2)), "must differ; got"),
    "a line": (np.stack([np.arange(5.0), 2 * np.arange(5.0)], 1), "must not lie on one line"),
    "an axis": (np.stack([np.arange(5.0), np.zeros(5)], 1), "must not lie on one line"),
    "two": (SQUARE[:2], "at least three, and finite"),
    "none": (SQUARE[:0], "at least three, and finite"),
    "NaN": (np.where(SQUARE > 0, np.nan, SQUARE), "at least three, and finite"),
    "three numbers": (np.zeros((4, 3)), r"must be \[K, 2\]; got shape \(4, 3\)"),
    "of rank 1": (np.zeros(4), r"must be \[K, 2\]; got shape \(4,\)"),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("control", "message"), DEGENERATE.values(), ids=DEGENERATE)
def test_control_points_that_determine_no_spline_are_refused(control, message):
    with pytest.raises(ValueError, match=f"^control .*{message}"):
        thin_plate_spline_grid(jnp.zeros(control.shape), (3, 3), control=control)


def test_traced_control_points_are_refused():
    with pytest.raises(TypeError, match="control must be known while tracing"):
        jax.jit(lambda c: thin_plate_spline_grid(c, (3, 3), control=c))(jnp.asarray(SQUARE))


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("shape", [(5, 2), (4, 3), (8,), (1, 4, 2)])
def test_points_of_another_shape_are_refused(shape):
    expected = r"points must have the shape of control, \(4, 2\); got " + re.escape(f"{shape}")
    with pytest.raises(ValueError, match=expected):
        thin_plate_spline_grid(jnp.zeros(shape), (3, 3), control=SQUARE)


def test_an_empty_output_and_a_layout_without_width_are_refused():
    with pytest.raises(ValueError, match=r"size must be at least 1; got \(0, 3\)"):
        thin_plate_spline_grid(jnp.asarray(SQUARE), (0, 3), control=SQUARE)
    with pytest.raises(ValueError, match=r"count must be at least 2 each way; got \(1, 3\)"):
        control_grid((1, 3))


@layouts
def test_the_points_of_the_layout_give_the_identitys_grid_bit_for_bit(control):
    points = jnp.asarray(control, jnp.float32)
    grid = _jit(lambda p: thin_plate_spline_grid(p, (5, 7), control=control))(points)
    np.testing.assert_array_equal(grid, affine_grid(jnp.eye(2, 3), (5, 7)))


@pytest.mark.parametrize("name", ["three", "regular"])
def test_the_inverse_leads_moved_points_back_to_the_control_points(name):
    """By SciPy: the spline through the result, evaluated where the control points read."""
    control = LAYOUTS[name]
    with jax.enable_x64(True):
        points = jnp.asarray(bent(control, 3, 0.1))
        back = _jit(jax.vmap(lambda p: inverse_points(p, control)))(points)
    for moved, one in zip(points, back, strict=True):
        spline = RBFInterpolator(control, one, kernel="thin_plate_spline", degree=1)
        np.testing.assert_allclose(spline(moved), control, atol=1e-8)


def test_the_inverse_of_an_affine_warp_is_the_affine_inverse():
    control = control_grid(4)
    turn = np.array([[0.8, -0.3], [0.2, 0.9]])
    back = inverse_points(jnp.asarray(control @ turn.T + 0.1, jnp.float32), control)
    np.testing.assert_allclose(back, (control - 0.1) @ np.linalg.inv(turn).T, atol=1e-4)


def test_gradients_of_the_inverse_also_at_the_identity():
    control = control_grid(2)
    with jax.enable_x64(True):
        for points in (jnp.asarray(bent(control, 1, 0.1)[0]), jnp.asarray(control)):
            gradient = _jit(jax.jacobian(lambda p: inverse_points(p, control)))(points)
            assert np.isfinite(gradient).all()
        check_grads(jax.jit(lambda p: inverse_points(p, control)), (points + 0.05,), order=1)


def test_points_that_lead_nowhere_back_are_refused_or_if_traced_zero_with_zero_gradient():
    control = control_grid(3)
    of = _jit(jax.value_and_grad(lambda p: inverse_points(p, control).sum()))
    for points in (np.zeros((9, 2)), np.full((9, 2), np.nan), np.full((9, 2), np.inf)):
        points = jnp.asarray(points, jnp.float32)
        with pytest.raises(ValueError, match=r"points must determine a spline back; got \[\["):
            inverse_points(points, control)
        value, gradient = of(points)
        assert value == 0 and not gradient.any()
