"""`grid_sample` by its properties, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import affine_grid, grid_sample
from tests.ops.sampling_cases import IMPLEMENTATIONS

sample = jax.jit(
    grid_sample, static_argnames=("mode", "padding", "align_corners", "implementation")
)
grid_of = jax.jit(affine_grid, static_argnums=1, static_argnames="align_corners")
IDENTITY = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
BOTH = pytest.mark.parametrize("align_corners", [False, True])


@BOTH
@pytest.mark.parametrize(
    ("mode", "implementation"),
    [("nearest", "xla"), ("bilinear", "xla"), ("bicubic", "xla"),
     pytest.param("bilinear", "native", marks=IMPLEMENTATIONS[1].marks)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(5, 7, 2), (1, 6, 1), (200, 300, 1)], ids=str)
def test_the_identity_grid_returns_the_image(shape, mode, implementation, align_corners):
    image = jax.random.uniform(jax.random.key(0), shape)
    grid = grid_of(IDENTITY, shape[:2], align_corners=align_corners)
    options = {"padding": "border", "align_corners": align_corners}
    out = sample(image, grid, mode=mode, implementation=implementation, **options)
    # A coordinate is right to half an ulp, which is up to (H + W) / 4 ulp in pixels, and again once
    # converted; a pixel differs from the next by at most 1, and a cubic's slope is below 2.
    bound = 0 if mode == "nearest" else 2 * sum(shape[:2]) * 2**-23
    np.testing.assert_allclose(out, image, atol=bound, rtol=0)


@BOTH
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (-2, 3)])
def test_a_shift_of_whole_pixels_shifts_and_fills_with_zeros(
    right, down, implementation, align_corners
):
    image = np.random.default_rng(0).uniform(size=(6, 5, 1)).astype(np.float32)
    extent = np.array([5, 6]) - align_corners
    grid = grid_of(IDENTITY, (6, 5), align_corners=align_corners)
    shift = jnp.asarray(2 * np.array([right, down]) / extent, jnp.float32)
    options = {"align_corners": align_corners, "implementation": implementation}
    out = sample(jnp.asarray(image), grid + shift[None, None], **options)
    padded = np.pad(image, ((6, 6), (5, 5), (0, 0)))
    np.testing.assert_allclose(out, padded[6 + down :, 5 + right :][:6, :5], atol=1e-5)


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
    rng = np.random.default_rng(1)
    image, grid = (jnp.asarray(rng.uniform(-1, 1, s), jnp.float32) for s in ((5, 7, 2), (3, 4, 2)))
    np.testing.assert_allclose(sample(image, grid), grid_sample(image, grid), atol=1e-6)


IMAGE, VOLUME = (4, 4, 1), (2, 4, 4, 1)
MISUSE = {
    "rank 2": ((4, 4), (2,), {}, r"image must be \[H, W, C\] or .*; got shape \(4, 4\)"),
    "rank 5": ((1, 1, 4, 4, 1), (3,), {}, r"image must be .* got shape \(1, 1, 4, 4, 1\)"),
    "no rows": ((0, 4, 1), (2,), {}, r"image must have a pixel on every axis; got shape \(0, 4"),
    "grid of 3": (IMAGE, (5, 3), {}, r"grid must be \[\.\.\., 2\] for an image.*shape \(5, 3\)"),
    "grid of 2": (VOLUME, (5, 2), {}, r"grid must be \[\.\.\., 3\] for a vol.*\(x, y, z\).*\(5, 2"),
    "grid of 4": (IMAGE, (4,), {}, r"grid must be \[\.\.\., 2\].*got shape \(4,\)"),
    "grid of rank 0": (IMAGE, (), {}, r"grid must be \[\.\.\., 2\].*got shape \(\)"),
    "mode": (
        IMAGE, (2,), {"mode": "cubic"},
        "mode must be one of.*'nearest', 'bilinear', 'bicubic', 'lanczos3'.*; got 'cubic'",
    ),
    "padding": (
        IMAGE, (2,), {"padding": "edge"},
        "padding must be .*'zeros', 'border', 'reflection', 'wrap', 'constant'.*; got 'edge'",
    ),
    "fill alone": (IMAGE, (2,), {"fill": 1.0}, "fill belongs to padding='constant'.*got .*'zeros'"),
    "fill of 2": (
        IMAGE, (2,), {"fill": jnp.ones(2), "padding": "constant"},
        r"fill must be a scalar or \[C\] = \(1,\); got shape \(2,\)",
    ),
    "bicubic volume": (VOLUME, (3,), {"mode": "bicubic"}, "mode must be one of.*bilinear.*volume"),
    "lanczos3 volume": (VOLUME, (3,), {"mode": "lanczos3"}, "volume .*; got 'lanczos3'"),
    "implementation": (IMAGE, (2,), {"implementation": "cuda"}, "implementation must.*got 'cuda'"),
    "native": (IMAGE, (2,), {"implementation": "native", "mode": "bicubic"}, "bilinear'; got"),
}  # fmt: skip


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("image", "grid", "options", "message"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_named_while_tracing(image, grid, options, message):
    def traced(image, grid):
        return grid_sample(image, grid, **options)

    with pytest.raises(ValueError, match=message):
        jax.eval_shape(traced, jnp.zeros(image), jnp.zeros(grid))


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.uint8, bool, jnp.complex64])
@pytest.mark.parametrize("which", ["image", "grid", "fill"])
def test_what_is_not_floating_point_is_refused(which, dtype):
    inputs = {"image": jnp.zeros(IMAGE), "grid": jnp.zeros(2), "fill": jnp.zeros(1)}
    inputs[which] = inputs[which].astype(dtype)
    message = f"{which} must be floating point; got {jnp.dtype(dtype)}"
    with pytest.raises(TypeError, match=message):
        grid_sample(**inputs, padding="constant")
