"""DRAW's read against its equations transcribed one by one, and at the ends of its range."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax.ops import gaussian_filters, gaussian_grid
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)


def transcription(image, where, n):
    """Equations 19 to 27 in the paper's letters: the image is B x A, counted from 1."""
    b, a, channels = image.shape
    gx, gy, log_variance, log_delta, log_gamma = where
    g_x, g_y = (a + 1) / 2 * (gx + 1), (b + 1) / 2 * (gy + 1)
    delta = (max(a, b) - 1) / (n - 1) * np.exp(log_delta)
    variance, gamma = np.exp(log_variance), np.exp(log_gamma)
    f_x, f_y = np.zeros((n, a)), np.zeros((n, b))
    for i in range(1, n + 1):
        mu_x, mu_y = (g + (i - n / 2 - 0.5) * delta for g in (g_x, g_y))
        f_x[i - 1] = [np.exp(-((p - mu_x) ** 2) / (2 * variance)) for p in range(1, a + 1)]
        f_y[i - 1] = [np.exp(-((p - mu_y) ** 2) / (2 * variance)) for p in range(1, b + 1)]
    f_x, f_y = (f / f.sum(1, keepdims=True) for f in (f_x, f_y))
    return gamma * np.stack([f_y @ image[..., c] @ f_x.T for c in range(channels)], -1)


def wheres(count):
    """Within reach: filters that underflow have no sum to be divided by on paper."""
    low, high = np.array([(-1, 1), (-1, 1), (-1, 2), (-3, -1), (-1, 1)]).T
    return np.random.default_rng(0).uniform(low, high, size=(count, 5))


def picture(*shape):
    return np.random.default_rng(1).uniform(size=shape)


def compiled(n):
    return _jit(jax.vmap(gaussian_grid(n).apply, (None, 0)))


@pytest.mark.parametrize(("shape", "n"), [((9, 14, 3), 5), ((12, 7, 1), 2)])
def test_random_glimpses_agree_with_the_equations_in_float64(shape, n):
    image, where = picture(*shape), wheres(30)
    with jax.enable_x64(True):
        ours = compiled(n)(jnp.asarray(image), jnp.asarray(where))
    for one, glimpse in zip(where, ours, strict=True):
        np.testing.assert_allclose(glimpse, transcription(image, one, n), atol=1e-9)


def test_random_glimpses_agree_with_the_equations_in_float32():
    image, where = picture(9, 14, 3).astype(np.float32), wheres(30).astype(np.float32)
    for one, glimpse in zip(where, compiled(5)(jnp.asarray(image), where), strict=True):
        np.testing.assert_allclose(glimpse, transcription(image, one, 5), atol=1e-4)


def test_one_filter_looks_at_the_middle_and_a_narrow_one_at_one_pixel():
    image = jnp.asarray(picture(5, 7, 2), jnp.float32)
    sharp = jnp.array([0.0, 0.0, -20.0, 0.0, 0.0])
    read = _jit(gaussian_grid(1).apply)
    np.testing.assert_allclose(read(image, sharp)[0, 0], image[2, 3], rtol=1e-6)


def test_x_runs_along_the_width_and_intensity_multiplies():
    image = jnp.zeros((6, 8, 1)).at[1, 6].set(1.0)
    # one pixel outside at +-1: pixel p (from 0) of n lies at 2 (p + 1) / (n + 1) - 1
    where = jnp.array([2 * 7 / 9 - 1, 2 * 2 / 7 - 1, -20.0, -20.0, jnp.log(3.0)])
    np.testing.assert_allclose(
        _jit(gaussian_grid(2).apply)(image, where), np.full((2, 2, 1), 3), rtol=1e-5
    )


ENDS = [-3e38, -1e4, -30.0, 0.0, 30.0, 1e4, 3e38]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_filters_sum_to_one_and_gradients_are_finite_at_every_end(dtype):
    # One number at an end with the rest ordinary, and all of them.
    ends = [jnp.zeros(5).at[i].set(end) for i in range(5) for end in ENDS]
    ends += [jnp.full(5, end) for end in ENDS]
    where = jnp.stack(ends).astype(dtype)

    @_jit
    @jax.vmap
    def run(where):
        def total(where):
            rows, columns, gamma = gaussian_filters(where, 3, (5, 7))
            return (rows**2).sum() + (columns**2).sum() + jnp.log(gamma)

        return gaussian_filters(where, 3, (5, 7)), jax.grad(total)(where)

    (rows, columns, gamma), gradients = run(where)
    assert rows.dtype == columns.dtype == gamma.dtype == jnp.float32
    for filters in (rows, columns):
        np.testing.assert_allclose(filters.sum(-1), 1, rtol=1e-5)
    assert np.isfinite(gamma).all()
    assert np.isfinite(gradients.astype(jnp.float32)).all()


def test_gradients_to_image_and_place():
    with jax.enable_x64(True):
        where = jnp.asarray(wheres(1)[0])
        read = jax.jit(gaussian_grid(3).apply)
        check_grads(read, (jnp.asarray(picture(5, 6, 2)), where), order=1)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_images_keep_their_dtype_and_are_read_wide(dtype):
    image = jnp.asarray(picture(30, 40, 1), dtype)
    where = jnp.array([0.1, -0.2, 0.5, -1.0, 0.0])
    read = _jit(gaussian_grid(4).apply)
    out = read(image, where)
    assert out.dtype == dtype
    expected = transcription(np.asarray(image, np.float64), np.asarray(where, np.float64), 4)
    np.testing.assert_allclose(out.astype(jnp.float32), expected, rtol=float(jnp.finfo(dtype).eps))
    narrow = where.astype(dtype)
    wide = narrow.astype(jnp.float32)
    np.testing.assert_array_equal(read(image, narrow), read(image, wide))


@pytest.mark.usefixtures("bad_input")
def test_misuse_is_named():
    with pytest.raises(ValueError, match="size must be at least 1; got 0"):
        gaussian_grid(0)
    with pytest.raises(ValueError, match="samples must be at least 1; got 0"):
        gaussian_filters(jnp.zeros(5), 0, (4, 4))
    with pytest.raises(ValueError, match=r"where must have shape \(5,\); got \(4,\)"):
        gaussian_grid(2).apply(jnp.zeros((4, 4, 1)), jnp.zeros(4))
    with pytest.raises(ValueError, match=r"reads an image \[H, W, C\]; got shape \(4, 4\)"):
        gaussian_grid(2).apply(jnp.zeros((4, 4)), jnp.zeros(5))
