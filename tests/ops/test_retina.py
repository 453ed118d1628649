"""The retina against areas of overlap counted in float64, and what its docstring promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax.ops import crop, grid_sample, retina


def share(middle, r, size):
    """What part of the window of r pixels around `middle` each of `size` unit pixels covers."""
    pixel = np.arange(size)
    low = np.maximum(pixel - 0.5, middle - r / 2)
    high = np.minimum(pixel + 0.5, middle + r / 2)
    return np.maximum(high - low, 0) / r


def oracle(image, where, size, scales, ratio, unit):
    """Mean after mean, one sample at a time."""
    image, extent = image.astype(np.float64), np.array(image.shape[:2])
    reach = extent / 2 if unit is None else unit
    centre = (extent - 1) / 2 + reach * where[::-1].astype(np.float64)
    out = np.zeros((scales, *size, image.shape[2]))
    for k, row, column in np.ndindex(scales, *size):
        r = ratio**k
        middle = centre + r * (np.array([row, column]) - (np.array(size) - 1) / 2)
        rows, columns = share(middle[0], r, extent[0]), share(middle[1], r, extent[1])
        out[k, row, column] = np.einsum("h,w,hwc->c", rows, columns, image)
    return out


@functools.cache
def compiled(size, scales=1, ratio=2.0, unit=None):
    """A retina over one image at many places."""
    return jax.jit(jax.vmap(retina(size, scales, ratio, unit=unit).apply, (None, 0)))


def picture(height, width, channels=1):
    values = np.random.default_rng(0).uniform(size=(height, width, channels))
    return jnp.asarray(values, jnp.float32)


def places(count=20):
    """Sub-pixel places all over, the corners, and places that hang over each edge."""
    anywhere = np.random.default_rng(1).uniform(-1, 1, size=(count, 2))
    ends = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    return jnp.asarray(np.concatenate([anywhere, ends, [(1.6, 0.1), (-0.3, -1.7)]]), jnp.float32)


CASES = {  # image, size, scales, ratio, unit
    "not square": ((9, 14, 1), (4, 4), 2, 2.0, None),
    "odd, wide patch, RGB": ((12, 13, 3), (3, 5), 2, 1.5, None),
    "three scales, even by odd": ((10, 10, 1), (4, 3), 3, 1.5, None),
    "unit in pixels": ((8, 12, 1), (2, 3), 2, 2.0, 3.5),
    "one sample": ((5, 4, 2), (1, 1), 3, 2.0, None),
}


@pytest.mark.parametrize(("image", "size", "scales", "ratio", "unit"), CASES.values(), ids=CASES)
def test_samples_are_means_of_the_area_they_cover(image, size, scales, ratio, unit):
    x, where = picture(*image), places()
    patches = compiled(size, scales, ratio, unit)(x, where)
    for place, patch in zip(np.asarray(where), patches, strict=True):
        expected = oracle(np.asarray(x), place, size, scales, ratio, unit)
        np.testing.assert_allclose(patch, expected, atol=1e-5)


def test_one_scale_is_bilinear_interpolation_at_the_same_places():
    x, where, (height, width) = picture(9, 14), places(), (4, 3)
    offsets_y = (np.arange(height) - (height - 1) / 2) * 2 / 9
    offsets_x = (np.arange(width) - (width - 1) / 2) * 2 / 14
    offsets = np.stack(np.meshgrid(offsets_x, offsets_y), -1).astype(np.float32)
    grid = where[:, None, None] + jnp.asarray(offsets)[None]
    patches = compiled((height, width))(x, where)[:, 0]
    np.testing.assert_allclose(patches, jax.jit(grid_sample)(x, grid), atol=1e-5)


def test_crop_is_the_first_scale_of_a_retina():
    x, where = picture(9, 14), places()
    cropped = jax.jit(jax.vmap(crop((3, 5)).apply, (None, 0)))(x, where)
    np.testing.assert_allclose(cropped, compiled((3, 5), 2)(x, where)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("where", "row", "column"), [((-1, -1), 0, 0), ((1, -1), 0, 11), ((-1, 1), 7, 0)]
)
def test_minus_one_is_top_left_and_x_runs_along_the_width(where, row, column):
    x = jnp.zeros((8, 12, 1)).at[row, column].set(1.0)
    patch = compiled(2)(x, jnp.array([where], jnp.float32))[0, 0, ..., 0]
    assert patch.max() == 1  # the corner of the image is the middle of the patch
    inner = (int(row == 0), int(column == 0))
    assert np.unravel_index(patch.argmax(), (2, 2)) == inner


def test_unit_is_the_distance_in_pixels():
    x = picture(8, 12)
    in_pixels = compiled(2, unit=2.0)(x, jnp.array([[1.0, -0.5]]))
    in_extents = compiled(2)(x, jnp.array([[2.0 / 6.0, -1.0 / 4.0]]))
    np.testing.assert_allclose(in_pixels, in_extents, atol=1e-5)


def test_the_whole_image_has_one_mean():
    x = picture(8, 8)
    patch = compiled(1, 4)(x, jnp.zeros((1, 2)))[0, -1]
    np.testing.assert_allclose(patch.ravel(), x.mean(keepdims=True).ravel(), rtol=1e-5)


def test_gradients_to_image_and_location():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 7, 2)))
        read = jax.jit(retina((3, 2), 2, 1.5).apply)
        check_grads(read, (x, jnp.array([0.13, -0.29])), order=1)


@pytest.mark.parametrize("where", [(0.0, 0.0), (1.0, -1.0), (30.0, 0.2), (1e30, -3e38)])
def test_gradients_are_finite_everywhere(where):
    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def gradients(x, place):
        return retina(2, 2).apply(x, place).sum()

    for gradient in gradients(picture(6, 6), jnp.array(where)):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_images_keep_their_dtype_and_locations_stay_wide(dtype):
    ramp = (jnp.arange(2000) % 251).astype(dtype)[None, :, None]
    place = jnp.array([[(2 * 1650 + 1) / 2000 - 1, 0.0]])  # the centre of pixel 1650
    patch = compiled(1)(ramp, place)
    assert patch.dtype == dtype
    np.testing.assert_allclose(float(patch.ravel()[0]), 1650 % 251, atol=1e-2)
    rounded = compiled(1)(ramp, place.astype(jnp.bfloat16).astype(jnp.float32))
    assert abs(float(rounded.ravel()[0]) - 1650 % 251) > 1  # what bfloat16 would have read


@pytest.mark.parametrize(
    ("size", "scales", "image", "patch"),
    [(8, 3, (15, 15, 1), "32x32"), ((2, 9), 1, (4, 4, 1), "2x9"), ((9, 2), 1, (4, 4, 1), "9x2")],
)
def test_a_patch_wider_than_twice_the_image_is_refused(size, scales, image, patch):
    message = f"at most twice the image, {2 * image[0]}x{2 * image[1]} pixels here; got {patch}"
    with pytest.raises(ValueError, match=message):
        retina(size, scales).apply(jnp.zeros(image), jnp.zeros(2))


def test_a_patch_of_twice_the_image_is_allowed():
    assert retina(4, 2).apply(jnp.ones((4, 4, 1)), jnp.zeros(2)).shape == (2, 4, 4, 1)


@pytest.mark.usefixtures("bad_input")
def test_an_image_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"reads an image \[H, W, C\]; got shape \(8, 8\)"):
        retina(2).apply(jnp.zeros((8, 8)), jnp.zeros(2))


@pytest.mark.parametrize(("scales", "ratio"), [(0, 2.0), (2, 0.5)])
def test_scales_and_ratio_below_one_are_refused(scales, ratio):
    with pytest.raises(ValueError, match=rf"scales >= 1 and ratio >= 1; got {scales} and {ratio}"):
        retina(4, scales, ratio)


@pytest.mark.parametrize("size", [0, (0, 3), (3, -1)])
def test_an_empty_patch_is_refused(size):
    with pytest.raises(ValueError, match="size must be at least 1; got"):
        retina(size)
