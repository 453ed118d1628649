"""Bilinear sampling against onnx, against a plain float64 oracle, and by its properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from onnx.backend.test.case.node import gridsample
from onnx.helper import make_node
from onnx.reference import ReferenceEvaluator

from attn_jax.ops import affine_grid, grid_sample

sample = jax.jit(grid_sample, static_argnames="align_corners")
grid_of = jax.jit(affine_grid, static_argnums=1, static_argnames="align_corners")
IDENTITY = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
BOTH = pytest.mark.parametrize("align_corners", [False, True])
# (H, W, C) and (h, w): ordinary, and a row.
SIGNATURES = [((5, 7, 2), (3, 4)), ((1, 6, 1), (2, 5))]


def oracle(image, grid, align_corners):
    """The mean of the four pixels around, weighted by hand, one place at a time."""
    height, width, channels = image.shape
    out = np.zeros((*grid.shape[:-1], channels))
    for place in np.ndindex(grid.shape[:-1]):
        x, y = grid[place].astype(np.float64)
        if align_corners:
            x, y = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
        else:
            x, y = (x + 1) / 2 * width - 0.5, (y + 1) / 2 * height - 0.5
        for row in range(height):
            for column in range(width):
                weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
                out[place] += weight * image[row, column]
    return out


def onnx_reference(images, grids, align_corners):
    node = make_node("GridSample", ["x", "grid"], ["y"], align_corners=int(align_corners))
    feeds = {"x": images.transpose(0, 3, 1, 2), "grid": grids}
    return ReferenceEvaluator(node).run(None, feeds)[0].transpose(0, 2, 3, 1)


def pairs(signature, count, seed=0):
    """Images, and grids whose places lie inside, around and far outside."""
    rng = np.random.default_rng(seed)
    image, grid = signature
    reach = rng.choice([1.0, 1.5, 30.0], size=(count, 1, 1, 1))
    grids = reach * rng.uniform(-1, 1, size=(count, *grid, 2))
    return rng.uniform(size=(count, *image)).astype(np.float32), grids.astype(np.float32)


def batched(align_corners):
    return jax.jit(jax.vmap(lambda i, g: grid_sample(i, g, align_corners=align_corners)))


def node_cases():
    """The onnx package's own bilinear cases with zeros outside, on images."""
    cases = []

    def record(node, inputs, outputs, name):
        options = {a.name: a.s.decode() if a.s else a.i for a in node.attribute}
        bilinear = options.get("mode", "linear") == "linear"
        zeros = options.get("padding_mode", "zeros") == "zeros"
        if bilinear and zeros and inputs[0].ndim == 4:
            aligned = bool(options.get("align_corners", 0))
            cases.append(pytest.param(aligned, *inputs, *outputs, id=name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gridsample, "expect", record)
        for export in [name for name in dir(gridsample.GridSample) if name.startswith("export_")]:
            getattr(gridsample.GridSample, export)()
    return cases


@BOTH
@pytest.mark.parametrize("signature", SIGNATURES, ids=str)
def test_random_pairs_agree_with_onnx_and_the_oracle(signature, align_corners):
    images, grids = pairs(signature, 100)
    ours = batched(align_corners)(images, grids)
    np.testing.assert_allclose(ours, onnx_reference(images, grids, align_corners), atol=1e-5)
    for image, grid, out in list(zip(images, grids, ours, strict=True))[:10]:
        np.testing.assert_allclose(out, oracle(image, grid, align_corners), atol=1e-5)


@pytest.mark.parametrize(("aligned", "x", "grid", "y"), node_cases())
def test_onnx_node_cases(aligned, x, grid, y):
    ours = batched(aligned)(x.transpose(0, 2, 3, 1), grid)
    np.testing.assert_allclose(ours, y.transpose(0, 2, 3, 1), atol=1e-5)


def test_the_node_cases_cover_both_conventions():
    assert len(node_cases()) >= 5
    assert {case.values[0] for case in node_cases()} == {False, True}


@BOTH
@pytest.mark.parametrize("shape", [(5, 7, 2), (1, 6, 1)])
def test_the_identity_grid_returns_the_image(shape, align_corners):
    image = jax.random.uniform(jax.random.key(0), shape)
    grid = grid_of(IDENTITY, shape[:2], align_corners=align_corners)
    out = sample(image, grid, align_corners=align_corners)
    np.testing.assert_allclose(out, image, atol=1e-5)


@BOTH
@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-2, 3)])
def test_a_shift_of_whole_pixels_shifts_and_fills_with_zeros(right, down, align_corners):
    image = np.random.default_rng(0).uniform(size=(6, 5, 1)).astype(np.float32)
    extent = np.array([5, 6]) - align_corners
    grid = grid_of(IDENTITY, (6, 5), align_corners=align_corners)
    shift = jnp.asarray(2 * np.array([right, down]) / extent, jnp.float32)
    out = sample(jnp.asarray(image), grid + shift[None, None], align_corners=align_corners)
    padded = np.pad(image, ((6, 6), (5, 5), (0, 0)))
    np.testing.assert_allclose(out, padded[6 + down :, 5 + right :][:6, :5], atol=1e-5)


def test_gradients_to_image_and_grid_between_the_kinks():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        pixels = rng.integers(-1, 4, size=(3, 2, 2)) + rng.uniform(0.2, 0.8, size=(3, 2, 2))
        grid = jnp.asarray((2 * pixels + 1) / 5 - 1)
        image = jnp.asarray(rng.uniform(size=(5, 5, 2)))
        assert image.dtype == grid.dtype == jnp.float64
        check_grads(sample, (image, grid), order=1)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_images_keep_their_dtype_and_coordinates_stay_wide(dtype):
    ramp = (jnp.arange(600) % 251).astype(dtype)[None, :, None]  # whole numbers, exact
    grid = grid_of(IDENTITY, (1, 600))
    out, rounded = sample(ramp, grid), sample(ramp, grid.astype(jnp.bfloat16).astype(jnp.float32))
    assert out.dtype == dtype
    wide, out, rounded = (np.asarray(a, np.float32) for a in (ramp, out, rounded))
    np.testing.assert_allclose(out, wide, atol=1e-3)
    assert np.abs(rounded - wide).max() > 1  # what bfloat16 coordinates would have read


def test_a_point_of_rank_one_reads_one_pixel():
    image = jnp.arange(12.0).reshape(3, 4, 1)
    assert sample(image, jnp.array([-0.75, 0.0])).tolist() == [4.0]


@pytest.mark.parametrize("lead", [(0,), (2, 0)])
def test_an_empty_grid_reads_nothing(lead):
    out = sample(jnp.ones((3, 4, 2)), jnp.zeros((*lead, 2)))
    assert out.shape == (*lead, 2)


@BOTH
def test_finite_coordinates_far_outside_give_zeros_in_value_and_gradient(align_corners):
    @jax.jit
    def total(image, grid):
        return grid_sample(image, grid, align_corners=align_corners).sum()

    far = np.array([40.0, 1e10, 1e30, 3e38, -1e10, -3e38])
    grid = jnp.asarray(np.concatenate([np.stack(xy, 1) for xy in ((far, 0 * far), (0 * far, far))]))
    value, gradients = jax.value_and_grad(total, (0, 1))(jnp.ones((3, 4, 2)), grid)
    assert value == 0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0)


def test_jit_changes_nothing():
    image, grid = (jnp.asarray(a[0]) for a in pairs(SIGNATURES[0], 1, seed=1))
    np.testing.assert_allclose(sample(image, grid), grid_sample(image, grid), rtol=1e-6)


MISUSE = {
    "image of rank 2": ((4, 4), (2,), {}, r"image must be \[H, W, C\]; got shape \(4, 4\)"),
    "image of rank 4": ((1, 4, 4, 1), (2,), {}, r"image must be .* got shape \(1, 4, 4, 1\)"),
    "grid of 3": ((4, 4, 1), (5, 3), {}, r"grid must be \[\.\.\., 2\].*got shape \(5, 3\)"),
    "grid of rank 0": ((4, 4, 1), (), {}, r"grid must be \[\.\.\., 2\].*got shape \(\)"),
    "mode": ((4, 4, 1), (2,), {"mode": "cubic"}, "mode must be .*bilinear.*; got 'cubic'"),
    "padding": ((4, 4, 1), (2,), {"padding": "edge"}, "padding must be .*zeros.*; got 'edge'"),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("image", "grid", "options", "message"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_named(image, grid, options, message):
    with pytest.raises(ValueError, match=message):
        grid_sample(jnp.zeros(image), jnp.zeros(grid), **options)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, bool])
def test_an_image_of_integers_is_refused(dtype):
    with pytest.raises(TypeError, match=f"image must be floating point; got {jnp.dtype(dtype)}"):
        grid_sample(jnp.zeros((4, 4, 1), dtype), jnp.zeros(2))
