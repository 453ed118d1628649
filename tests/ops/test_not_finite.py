"""One policy for all reads and samplers for what is not finite: pixels, fills and places.

What has weight 0 contributes nothing, whatever it is. A place that is NaN reads as -1, and its
gradient is 0. Glimpses that are matrix products are NaN throughout if their image is not finite.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops
from attn_jax.ops import READS, affine_grid, affine_sample, grid_sample
from tests.ops import sampling_cases as cases

BAD = [np.nan, np.inf, -np.inf]
ALL = [c for c in cases.ALL if c.dims == 2]


def bad_image(align_corners=False):
    """An image a third of whose pixels are not finite, with places that are exact in binary."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(*size(align_corners), 3)).astype(np.float32)
    image[rng.uniform(size=image.shape) < 0.3] = np.inf
    image[rng.uniform(size=image.shape) < 0.1] = np.nan
    return image


def size(align_corners):
    return (5, 9) if align_corners else (4, 8)


def identity(align_corners):
    return affine_grid(jnp.eye(2, 3), size(align_corners), align_corners=align_corners)


@cases.each(ALL)
@pytest.mark.parametrize("fill", [np.inf, np.nan])
def test_the_identity_returns_any_image_bit_for_bit(case, fill):
    image = bad_image(case.align_corners)
    chosen = cases.options(*case[1:])
    if case.padding == "constant":
        chosen["fill"] = fill
    out = cases.quick_jit(functools.partial(grid_sample, **chosen))(
        image, identity(case.align_corners)
    )
    np.testing.assert_array_equal(out, image)


@cases.each([case for case in cases.NATIVE if case.padding in ("zeros", "wrap")])
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_xla_and_native_agree_on_what_is_not_finite(case, channels):
    """Values, and gradients to the places, on pixels, beside them and between."""
    rng = np.random.default_rng(1)
    image = np.tile(bad_image(case.align_corners)[..., :1], channels)
    image = np.where(rng.uniform(size=image.shape) < 0.5, np.float32(1), image)
    pixels = rng.integers(-1, 9, size=(300, 2)) + rng.choice([0, 0, 0.25, 0.5], size=(300, 2))
    shift = 0 if case.align_corners else 0.5
    grid = ((pixels + shift) * 2 / np.array([8, 4]) - 1).astype(np.float32)
    both = []
    for implementation in ("xla", "native"):
        f = functools.partial(grid_sample, **cases.options(*case[1:4], implementation))
        out, pull = jax.vjp(f, jnp.asarray(image), jnp.asarray(grid))
        both.append((out, *pull(jnp.ones_like(out))))
    assert 0 < np.isfinite(both[0][0]).mean() < 1
    for mine, theirs in zip(*both, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("implementation", cases.IMPLEMENTATIONS)
def test_affine_sample_returns_any_image(implementation):
    image = bad_image()
    out = affine_sample(jnp.asarray(image), jnp.eye(2, 3), (4, 8), implementation=implementation)
    np.testing.assert_array_equal(out, image)


@pytest.mark.parametrize("padding", cases.PADDINGS)
def test_zeros_keep_their_sign(padding):
    image = jnp.full((4, 8, 1), -0.0).at[1:3, 2:5].set(1.0)
    out = grid_sample(image, identity(False), padding=padding, implementation="xla")
    np.testing.assert_array_equal(np.signbit(out), np.signbit(image))


@pytest.mark.parametrize("bad", BAD)
def test_a_mask_of_zero_hides_anything(bad):
    x, weights = jnp.array([[1.0], [bad]]), jnp.array([1.0, 0.0])
    np.testing.assert_array_equal(ops.mask()(x, weights), [[1], [0]])


PRODUCTS = {"retina": jnp.zeros(2), "crop": jnp.zeros(2), "gaussian_grid": jnp.zeros(5)}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_glimpse_by_products_shows_that_its_image_is_not_finite(name):
    image = jnp.ones((6, 6, 2)).at[0, 5, 1].set(jnp.nan)
    out = READS[name].make(2)(image, PRODUCTS[name])
    assert np.isfinite(out[..., 0]).all()
    assert np.isnan(out[..., 1]).all()


NAN = np.nan
CONTROL = ops.control_grid(2)
# name -> (arguments, `where` with NaN, the places that it stands for); of every read but by weights
PLACES = {
    "crop": ((2,), [NAN, 0.2], [-1.0, 0.2]),
    "retina": ((2,), [0.2, NAN], [0.2, -1.0]),
    "affine": ((2,), [[NAN, 0, 0], [0, 1, 0.1]], [[0, 0, -1], [0, 1, 0.1]]),
    "projective": (
        (2,),
        [[1, 0, 0], [0, NAN, 0], [0, 0, 1]],
        [[0, 0, -1], [0, 0, -1], [0, 0, 1]],
    ),
    "thin_plate_spline": (
        (2, CONTROL),
        [[-1, NAN], [1, -1], [-1, 1], [1, 1]],
        [[-1, -1], [1, -1], [-1, -1], [1, -1]],
    ),
    "gaussian_grid": ((2,), [NAN, 0.2, 0, 0, 0], [-1, 0.2, 0, 0, 0]),
}
WEIGHTS = ("weighted_sum", "mask")


def test_every_read_has_its_row_here():
    assert {*PLACES, *WEIGHTS} == {*READS}


@pytest.mark.parametrize("name", PLACES)
def test_a_place_that_is_nan_reads_as_minus_one_and_has_no_gradient(name):
    arguments, where, stands_for = PLACES[name]
    read = READS[name].make(*arguments)
    image = jnp.asarray(np.random.default_rng(0).uniform(1, 2, size=(6, 7, 2)), jnp.float32)
    where, stands_for = (jnp.asarray(w, jnp.float32) for w in (where, stands_for))
    read_at = jax.jit(lambda w: jax.vjp(lambda w: read(image, w), w)[0])
    if name == "projective":  # a singular homography is refused unless it is traced
        expected = grid_sample(image, jnp.full((2, 2, 2), -1.0))
    else:
        expected = read_at(stands_for)
    np.testing.assert_allclose(read_at(where), expected, atol=1e-5)
    gradient = jax.jit(jax.grad(lambda w: read(image, w).sum()))(where)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[np.isnan(where)], 0)


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_that_is_nan_gives_nan(name):
    out = READS[name].make()(jnp.ones((2, 1)), jnp.array([NAN, 1.0]))
    np.testing.assert_array_equal(np.isnan(out).sum(), 1)
