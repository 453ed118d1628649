"""Weighted sums, masks and the affine read: shapes, values, dtypes, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax import ops
from attn_jax.ops import affine, affine_grid, grid_sample, mask, weighted_sum

IDENTITY = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

# The shapes of x and of where; H = W would hide an axis contracted with another.
PAIRS = {
    "items": ((5, 3), (5,)),
    "places": ((4, 5, 3), (4, 5)),
    "places of a square map": ((4, 4, 3), (4, 4)),
    "features": ((6,), (6,)),
    "items that are images": ((3, 4, 5, 2), (3,)),
}
CORNERS = [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
# name -> (read, where in lists)
CALLED = {
    "weighted_sum": (weighted_sum(), [[0.1] * 7] * 6),
    "mask": (mask(), [[0.1] * 7] * 6),
    "retina": (ops.retina(2), [0.1, 0.2]),
    "crop": (ops.crop(2), [0, 0]),
    "affine": (affine(2), [[1.0, 0, 0], [0, 1, 0]]),
    "projective": (ops.projective(2), [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "thin_plate_spline": (ops.thin_plate_spline(2, np.array(CORNERS)), CORNERS),
    "gaussian_grid": (ops.gaussian_grid(2), [0.1, 0.2, 0.3, 0.4, 0.5]),
}
pairs = pytest.mark.parametrize(("x", "where"), PAIRS.values(), ids=PAIRS)


def uniform(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape), jnp.float32)


@pairs
def test_weighted_sum_contracts_all_axes_of_where(x, where):
    x, where = uniform(x), uniform(where, 1)
    expected = np.zeros(x.shape[where.ndim :])
    for place in np.ndindex(where.shape):
        expected += float(where[place]) * np.asarray(x[place], np.float64)
    out = jax.jit(weighted_sum().apply)(x, where)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-5)


@pairs
def test_mask_dims_in_place(x, where):
    x, where = uniform(x), uniform(where, 1)
    out = jax.jit(mask().apply)(x, where)
    assert out.shape == x.shape
    for place in np.ndindex(where.shape):
        np.testing.assert_allclose(out[place], where[place] * np.asarray(x[place]), rtol=1e-6)


def test_summing_what_a_mask_leaves_is_the_weighted_sum():
    x, where = uniform((4, 5, 3)), uniform((4, 5), 1)
    summed = mask().apply(x, where).sum((0, 1))
    np.testing.assert_allclose(weighted_sum().apply(x, where), summed, rtol=1e-5)


def test_a_one_hot_reads_one_item_exactly():
    x = uniform((5, 3))
    np.testing.assert_array_equal(weighted_sum().apply(x, jax.nn.one_hot(3, 5)), x[3])


@pytest.mark.parametrize("read", [weighted_sum, mask], ids=lambda r: r.__name__)
def test_reads_by_weight_are_differentiable(read):
    check_grads(jax.jit(read().apply), (uniform((3, 4, 2)), uniform((3, 4), 1)), order=1)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("read", [weighted_sum, mask], ids=lambda r: r.__name__)
def test_narrow_inputs_keep_their_dtype_and_are_summed_wide(read, dtype):
    # In bfloat16 a running sum of ones stops at 256, in float16 at 2048.
    x, where = jnp.ones((4096,), dtype), jnp.full((4096,), 0.5, jnp.float32)
    out = read().apply(x, where)
    assert out.dtype == dtype
    assert float(out.astype(jnp.float32).sum()) == 2048


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("read", [weighted_sum, mask], ids=lambda r: r.__name__)
@pytest.mark.parametrize(("x", "where"), [((5, 3), (4,)), ((4, 5, 3), (5, 4)), ((5,), (5, 1))])
def test_where_of_another_shape_is_refused(read, x, where):
    with pytest.raises(ValueError, match="where must have the leading shape of x") as error:
        read().apply(jnp.zeros(x), jnp.zeros(where))
    assert f"x has {x}, where has {where}" in str(error.value)


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_samples_its_own_grid(align_corners):
    image = uniform((5, 7, 2))
    theta = jnp.array([[0.6, -0.4, 0.3], [0.2, 0.7, -0.5]])

    @jax.jit
    def by_hand(image, theta):
        grid = affine_grid(theta, (3, 4), align_corners=align_corners)
        return grid_sample(image, grid, align_corners=align_corners)

    out = jax.jit(affine((3, 4), align_corners=align_corners).apply)(image, theta)
    np.testing.assert_allclose(out, by_hand(image, theta), atol=1e-6)
    assert out.std() > 0.01


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_at_the_identity_is_the_image(align_corners):
    image = uniform((5, 7, 2))
    out = jax.jit(affine((5, 7), align_corners=align_corners).apply)(image, IDENTITY)
    np.testing.assert_allclose(out, image, atol=1e-5)


def test_affine_with_one_number_is_square():
    assert jax.eval_shape(affine(3).apply, uniform((5, 7, 2)), IDENTITY).shape == (3, 3, 2)


def test_affine_of_a_wide_narrow_image_is_the_image():
    ramp = (jnp.arange(600) % 251).astype(jnp.bfloat16)[None, :, None]
    out = jax.jit(affine((1, 600)).apply)(ramp, IDENTITY.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(out, np.float32), np.asarray(ramp, np.float32), atol=1e-3)


def test_affine_of_a_volume_samples_its_own_grid_and_its_planes_are_images():
    volume = uniform((4, 5, 7, 2))
    theta = jnp.array([[0.6, -0.4, 0.1, 0.3], [0.2, 0.7, 0.0, -0.5], [0.1, 0.0, 0.9, 0.2]])
    out = jax.jit(affine((2, 3, 4)).apply)(volume, theta)
    expected = jax.jit(lambda v, t: grid_sample(v, affine_grid(t, (2, 3, 4))))(volume, theta)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    flat = jnp.eye(3, 4).at[:2, :2].set(theta[:2, :2]).at[:2, 3].set(theta[:2, 3])
    planes = jax.vmap(affine((3, 4)), (0, None))(volume, jnp.delete(theta[:2], 2, 1))
    np.testing.assert_allclose(affine((4, 3, 4))(volume, flat), planes, atol=1e-5)


@pytest.mark.usefixtures("bad_input")
def test_affine_of_a_volume_refuses_what_is_none():
    read = affine((2, 3, 4))
    with pytest.raises(ValueError, match=r"theta must have shape \(3, 4\) for a size of 3 axes"):
        read(uniform((4, 5, 7, 2)), IDENTITY)
    with pytest.raises(ValueError, match=r"size must be \(h, w\) for an image"):
        read(uniform((5, 7, 2)), jnp.eye(3, 4))
    with pytest.raises(ValueError, match=r"size must be \(d, h, w\), whole numbers of at least 1"):
        affine((2, 0, 4))


@pytest.mark.parametrize("size", [0, (3, 0)])
def test_an_empty_output_is_refused(size):
    with pytest.raises(ValueError, match="size must be at least 1; got"):
        affine(size)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("read", "where"), CALLED.values(), ids=CALLED)
def test_a_read_is_a_function_of_arrays_and_lists(read, where):
    image = np.random.default_rng(0).uniform(size=(6, 7, 3)).astype(np.float32)
    expected = read.apply(jnp.asarray(image), jnp.asarray(where, jnp.float32))
    for x, w in ((image, where), (image.tolist(), where), (image.tolist(), np.float32(where))):
        np.testing.assert_allclose(read(x, w), expected, atol=1e-6)
        np.testing.assert_allclose(read.apply(x, w), expected, atol=1e-6)
    np.testing.assert_allclose(jax.jit(read)(image, jnp.float32(where)), expected, atol=1e-6)
