"""The reads that bend: each samples its own grid, and its identity is the image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import (
    affine,
    affine_grid,
    control_grid,
    grid_sample,
    projective,
    projective_grid,
    thin_plate_spline,
    thin_plate_spline_grid,
)
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)

CONTROL = control_grid(3)
# name -> (read of a size, grid of a place and a size, the place that leaves the image alone)
WARPS = {
    "affine": (affine, affine_grid, np.eye(2, 3)),
    "projective": (projective, projective_grid, np.eye(3)),
    "thin_plate_spline": (
        functools.partial(thin_plate_spline, control=CONTROL),
        functools.partial(thin_plate_spline_grid, control=CONTROL),
        CONTROL,
    ),
}
warps = pytest.mark.parametrize(("read", "grid", "identity"), WARPS.values(), ids=WARPS)
BOTH = pytest.mark.parametrize("align_corners", [False, True])


def picture(*shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(0).uniform(size=shape), dtype)


@BOTH
@warps
def test_a_warp_samples_its_own_grid(read, grid, identity, align_corners):
    image, outside = picture(5, 7, 2), {"padding": "constant", "fill": jnp.array([3.0, -4.0])}
    noise = np.random.default_rng(1).uniform(0, 0.6, size=identity.shape)
    where = jnp.asarray(identity + noise, jnp.float32)

    @_jit
    def by_hand(image, where):
        places = grid(where, (3, 4), align_corners=align_corners)
        return grid_sample(image, places, align_corners=align_corners, **outside)

    out = _jit(read((3, 4), align_corners=align_corners, **outside).apply)(image, where)
    np.testing.assert_allclose(out, by_hand(image, where), atol=1e-6)
    assert out.max() > 1 > out.min()  # both from inside and from outside


@BOTH
@warps
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_warp_at_the_identity_is_the_image(read, grid, identity, align_corners, dtype):
    image = picture(5, 7, 2, dtype=dtype)
    out = _jit(read((5, 7), align_corners=align_corners).apply)(image, jnp.asarray(identity))
    assert out.dtype == dtype
    tolerance = max(1e-5, float(jnp.finfo(dtype).eps))
    wide = (a.astype(jnp.float32) for a in (out, image))
    np.testing.assert_allclose(*wide, atol=tolerance)


@warps
def test_one_number_is_square_and_none_is_refused(read, grid, identity):
    shape = jax.eval_shape(read(3).apply, picture(5, 7, 2), jnp.asarray(identity)).shape
    assert shape == (3, 3, 2)
    with pytest.raises(ValueError, match="size must be at least 1; got"):
        read((3, 0))


@warps
def test_options_are_those_of_the_sampler(read, grid, identity):
    image, where = picture(5, 7, 2), jnp.asarray(identity)
    for option in ("mode", "padding", "implementation"):
        with pytest.raises(ValueError, match=f"{option} must be one of .*; got 'odd'"):
            jax.eval_shape(read(3, **{option: "odd"}).apply, image, where)


def test_a_layout_that_determines_no_spline_is_refused_when_the_read_is_made():
    with pytest.raises(ValueError, match="control points must differ"):
        thin_plate_spline(4, np.zeros((4, 2)))
    with pytest.raises(TypeError, match="control must be known while tracing"):
        jax.eval_shape(lambda c: thin_plate_spline(4, c).apply(picture(4, 4, 1), c), CONTROL)
