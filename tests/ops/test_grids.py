"""Grids against onnx and by hand; coordinates and pixels are each other's inverse."""

import functools
import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from onnx.backend.test.case.node import affinegrid
from onnx.helper import make_node
from onnx.reference import ReferenceEvaluator

from attn_jax.ops import affine_grid, axis_coordinates, to_pixels

grid_of = jax.jit(affine_grid, static_argnums=1, static_argnames="align_corners")
IDENTITY = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
SIZES = pytest.mark.parametrize("size", [1, 2, 5, 28])
BOTH = pytest.mark.parametrize("align_corners", [False, True])


def batched(theta, size, align_corners):
    of_one = functools.partial(affine_grid, size=size, align_corners=align_corners)
    return jax.jit(jax.vmap(of_one))(theta)


def reference(theta, size, align_corners):
    node = make_node("AffineGrid", ["theta", "size"], ["grid"], align_corners=int(align_corners))
    feeds = {"theta": theta, "size": np.array([len(theta), 1, *size])}
    return ReferenceEvaluator(node).run(None, feeds)[0]


def transforms(rank, count=100):
    shape = (count, rank, rank + 1)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def node_cases():
    """The onnx package's own cases, recorded by running what exports them."""
    cases = []

    def record(node, inputs, outputs, name):
        cases.append(pytest.param(node, *inputs, *outputs, id=name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(affinegrid, "expect", record)
        affinegrid.AffineGrid.export_2d_no_reference_evaluator()
        affinegrid.AffineGrid.export_3d_no_reference_evaluator()
    return cases


# onnx's own grid divides by zero for a single aligned sample, so only the unaligned has one.
@pytest.mark.parametrize(
    ("size", "align_corners"),
    [
        ((4, 3), False),
        ((4, 3), True),
        ((1, 6), False),
        ((5, 1), False),
        ((2, 7), True),
        ((3, 4, 5), True),
        ((1, 2, 4), False),
    ],
)
def test_random_transforms_agree_with_the_onnx_reference(size, align_corners):
    theta = transforms(len(size))
    ours = batched(theta, size, align_corners)
    np.testing.assert_allclose(ours, reference(theta, size, align_corners), atol=1e-5)


# torch warns of one aligned pixel: its answer there changed once, to the middle, as is ours.
@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior:UserWarning")
@BOTH
@pytest.mark.parametrize("size", [(4, 3), (1, 5), (1, 1), (3, 4, 5), (2, 1, 3), (1, 1, 1)])
def test_random_transforms_agree_with_torch_in_float64(size, align_corners):
    torch = pytest.importorskip("torch")
    theta = transforms(len(size)).astype(np.float64)
    shape = (len(theta), 1, *size)
    theirs = torch.nn.functional.affine_grid(
        torch.tensor(theta), shape, align_corners=align_corners
    )
    with jax.enable_x64(True):
        ours = batched(jnp.asarray(theta), size, align_corners)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-9)


@pytest.mark.parametrize(("node", "theta", "size", "expected"), node_cases())
def test_onnx_node_cases(node, theta, size, expected):
    align_corners = bool(node.attribute[0].i)
    ours = batched(theta, tuple(size[2:].tolist()), align_corners)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_both_conventions_have_a_node_case_in_both_dimensions():
    met = {(case.values[1].shape[1], bool(case.values[0].attribute[0].i)) for case in node_cases()}
    assert met == {(2, False), (2, True), (3, False), (3, True)}


@pytest.mark.parametrize(("align_corners", "edge"), [(False, 0.75), (True, 1.0)])
def test_identity_grid_is_the_pixel_centres_x_first(align_corners, edge):
    grid = grid_of(IDENTITY, (2, 4), align_corners=align_corners)
    np.testing.assert_allclose(grid[0, :, 0], np.linspace(-edge, edge, 4), atol=1e-6)
    np.testing.assert_array_equal(grid[0, :, 0], grid[1, :, 0])
    assert (grid[0, :, 1] < 0).all()  # the first row is on top
    assert (grid[1, :, 1] > 0).all()


@BOTH
def test_translation_moves_every_sample(align_corners):
    moving = jnp.array([[1.0, 0.0, 0.5], [0.0, 1.0, -2.0]])
    moved = grid_of(moving, (2, 4), align_corners=align_corners)
    still = grid_of(IDENTITY, (2, 4), align_corners=align_corners)
    difference = np.broadcast_to([0.5, -2.0], (2, 4, 2))
    np.testing.assert_allclose(moved - still, difference, atol=1e-6)


@BOTH
def test_an_axis_of_one_sample_is_its_middle(align_corners):
    assert grid_of(IDENTITY, (1, 1), align_corners=align_corners).tolist() == [[[0.0, 0.0]]]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_coordinates_are_float32_even_from_a_narrow_theta(dtype):
    grid = grid_of(IDENTITY.astype(dtype), (1, 513))
    assert grid.dtype == jnp.float32
    np.testing.assert_allclose(grid[0, :, 0], (2 * np.arange(513) + 1) / 513 - 1, atol=1e-6)


@BOTH
def test_in_three_dimensions_x_runs_along_the_last_axis_and_z_along_the_first(align_corners):
    grid = grid_of(jnp.eye(3, 4), (2, 3, 5), align_corners=align_corners)
    assert grid.shape == (2, 3, 5, 3)
    for axis, (name, size) in enumerate((("z", 2), ("y", 3), ("x", 5))):
        expected = axis_coordinates(size, align_corners).reshape(
            [-1 if i == axis else 1 for i in range(3)]
        )
        np.testing.assert_array_equal(
            grid[..., "xyz".index(name)], np.broadcast_to(expected, (2, 3, 5))
        )


@BOTH
@SIZES
def test_axis_coordinates_are_the_rational_numbers_rounded_once(size, align_corners):
    steps = size - 1 if align_corners else size
    exact = [float(Fraction(2 * i + 1 - size, max(steps, 1))) for i in range(size)]
    np.testing.assert_array_equal(axis_coordinates(size, align_corners), np.float32(exact))
    with jax.enable_x64(True):
        wide = axis_coordinates(size, align_corners, dtype=jnp.float64)
        np.testing.assert_array_equal(wide, exact)


def test_grid_is_differentiable_in_theta():
    check_grads(lambda theta: grid_of(theta, (2, 4)), (0.5 * IDENTITY + 0.1,), order=2)


@BOTH
@SIZES
def test_axis_coordinates_are_inverse_to_pixels(size, align_corners):
    pixels = to_pixels(axis_coordinates(size, align_corners), size, align_corners)
    np.testing.assert_allclose(pixels, np.arange(size), atol=1e-5)


@BOTH
@SIZES
def test_axis_coordinates_are_symmetric_and_ascend(size, align_corners):
    axis = np.asarray(axis_coordinates(size, align_corners))
    np.testing.assert_allclose(axis, -axis[::-1], atol=1e-6)
    assert (np.diff(axis) > 0).all()
    assert np.abs(axis).max() <= 1


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(2, 100), st.booleans(), st.floats(-100, 200))
def test_to_pixels_undoes_the_definition(size, align_corners, pixel):
    extent = size - 1 if align_corners else size
    offset = 0 if align_corners else 1
    coordinate = jnp.asarray((2 * pixel + offset) / extent - 1)
    np.testing.assert_allclose(to_pixels(coordinate, size, align_corners), pixel, atol=1e-4)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (6,), (1, 2, 3)])
def test_theta_of_another_shape_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"theta must have shape \(2, 3\) .* got " + re.escape(f"{shape}")
    ):
        affine_grid(jnp.zeros(shape), (4, 4))


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("shape", "size"), [((2, 3), (2, 4, 4)), ((3, 4), (4, 4))])
def test_theta_of_another_dimension_than_the_size_is_refused(shape, size):
    expected = re.escape(f"{(len(size), len(size) + 1)} for a size of {len(size)} axes")
    with pytest.raises(ValueError, match=expected + ".* got " + re.escape(f"{shape}")):
        affine_grid(jnp.zeros(shape), size)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("size", [(4,), (2, 2, 2, 2)])
def test_a_size_of_another_dimension_is_refused(size):
    with pytest.raises(
        ValueError, match=re.escape("(h, w) or (d, h, w), ") + f".*; got {re.escape(str(size))}"
    ):
        affine_grid(IDENTITY, size)


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (2, 0, 4)])
def test_an_empty_output_is_refused(size):
    with pytest.raises(
        ValueError, match=r"size must be .* at least 1; got " + re.escape(f"{size}")
    ):
        affine_grid(jnp.eye(len(size), len(size) + 1), size)
