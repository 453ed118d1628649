"""What the native sampler has of its own: channels, chunks, the fused form, any coordinate.

What it shares with XLA is in test_sampling_oracles.py and test_sampling_edges.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import affine_grid, grid_sample, native
from attn_jax.ops.native import formula, library
from attn_jax.ops.padding import PADDINGS
from attn_jax.yardsticks.oracle import oracle
from tests.native_problems import affine, images, problem, sampler, thetas
from tests.xla import QUICK

pytestmark = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")

BOTH = pytest.mark.parametrize("align_corners", [False, True])
EVERY = pytest.mark.parametrize("padding", PADDINGS)
# (H, W): one pixel, and a one-pixel axis.
THIN = [(1, 1), (1, 6)]


@functools.cache
def with_gradients(padding, align_corners):
    def both(image, grid, fill, g):
        out, vjp = jax.vjp(jax.vmap(sampler(padding, align_corners)), image, grid, fill)
        return out, *vjp(g)

    return jax.jit(both, compiler_options=QUICK)


def compare_with_oracle(shape, padding, align_corners, dtype, tolerance):
    image, grid, fill, g = (
        x.astype(dtype) for x in problem(shape, align_corners=align_corners, seed=shape[-1])
    )
    ours = with_gradients(padding, align_corners)(image, grid, fill, g)
    assert all(x.dtype == dtype for x in ours)
    for b in range(len(image)):
        options = {"padding": padding, "align_corners": align_corners}
        told = oracle(image[b], grid[b], fill=fill[b], **options)
        for mine, theirs in zip(ours, (told.value, *told.gradients(g[b])), strict=True):
            np.testing.assert_allclose(mine[b], theirs, rtol=tolerance, atol=10 * tolerance)


@EVERY
@pytest.mark.parametrize(
    ("channels", "align_corners"),
    [(1, False), (3, False), (4, False), (7, False), (64, False), (1, True), (7, True)],
)
def test_values_and_gradients_agree_with_the_oracle(channels, align_corners, padding):
    compare_with_oracle((6, 5, channels), padding, align_corners, np.float32, 3e-5)


@EVERY
@BOTH
@pytest.mark.parametrize("shape", THIN, ids=str)
def test_thin_images_agree_with_the_oracle(shape, align_corners, padding):
    compare_with_oracle((*shape, 2), padding, align_corners, np.float32, 3e-5)


@EVERY
def test_float64_is_computed_in_float64(padding):
    with jax.enable_x64(True):
        compare_with_oracle((6, 5, 3), padding, False, np.float64, 1e-12)


def test_more_points_than_a_chunk_and_more_than_a_task():
    image, grid, fill, g = (x.astype(np.float32) for x in problem((30, 40, 3), n=7000, batch=2))
    out, dimage, dgrid, _ = with_gradients("border", False)(image, grid, fill, g)
    told = oracle(image[1], grid[1], padding="border")
    expected = (told.value, *told.gradients(g[1])[:2])
    for mine, theirs in zip((out, dimage, dgrid), expected, strict=True):
        np.testing.assert_allclose(mine[1], theirs, rtol=1e-3, atol=1e-3)


@EVERY
@BOTH
def test_affine_is_the_grid_in_one_step(align_corners, padding):
    with jax.enable_x64(True):
        g = jnp.asarray(np.random.default_rng(1).normal(size=(3, 7, 4, 3)))
        results = []
        for f in affine(padding, align_corners=align_corners):
            out, vjp = jax.vjp(jax.vmap(f), images(), thetas())
            results.append((out, *vjp(g)))
        for one, two in zip(*results, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-11)


def test_affine_in_float32_is_within_a_few_ulp_of_two_steps():
    one, two = (jax.jit(jax.vmap(f)) for f in affine("reflection", size=(50, 60)))
    image, theta = images().astype(jnp.float32), thetas().astype(jnp.float32)
    scale = 8 * np.abs(theta).max() * np.abs(image).max()  # pixels a coordinate spans, and slope
    np.testing.assert_allclose(one(image, theta), two(image, theta), atol=4 * scale * 1.2e-7)


def test_values_agree_with_the_public_sampler():
    image, theta = images(shape=(6, 5, 3)).astype(jnp.float32), thetas().astype(jnp.float32)
    grid = jax.vmap(lambda t: affine_grid(t, (7, 4)))(theta)
    ours = jax.vmap(affine()[0])(image, theta)
    np.testing.assert_allclose(ours, jax.vmap(grid_sample)(image, grid), atol=1e-5)


def test_the_image_alone_or_the_grid_alone():
    image, grid, fill, g = (x.astype(np.float32) for x in problem((6, 5, 3)))
    _, dimage, dgrid, _ = with_gradients("zeros", False)(image, grid, fill, g)
    f = jax.vmap(sampler("zeros", False))
    of_image = jax.vjp(lambda i: f(i, grid, fill), image)[1](g)[0]
    of_grid = jax.vjp(lambda p: f(image, p, fill), grid)[1](g)[0]
    np.testing.assert_array_equal(of_image, dimage)
    np.testing.assert_array_equal(of_grid, dgrid)


def test_results_do_not_depend_on_the_batch_nor_on_chance():
    image, grid, fill, g = (x.astype(np.float32) for x in problem((20, 30, 3), n=5000, batch=4))
    f = with_gradients("constant", False)
    first, again = f(image, grid, fill, g), f(image, grid, fill, g)
    alone = f(image[1:2], grid[1:2], fill[1:2], g[1:2])
    for a, b, c in zip(first, again, alone, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a[1:2], c)


NOT_FINITE = [(np.nan, 0.1), (0.1, np.nan), (np.inf, 0.1), (-np.inf, 0.1), (0.1, np.inf),
              (np.inf, -np.inf), (np.nan, np.inf)]  # fmt: skip


@EVERY
@BOTH
@pytest.mark.parametrize("shape", [(6, 5), (1, 1)], ids=str)
def test_what_is_not_finite(shape, align_corners, padding):
    """NaN as -1; an infinity as nothing, the edge, or -1; no gradient to any of them."""
    image = images(1, (*shape, 2))[0].astype(jnp.float32)
    fill = jnp.array([2.0, 3.0]) if padding == "constant" else jnp.zeros(2)
    grid = np.array(NOT_FINITE, np.float32)
    infinite, stand_in = np.isinf(grid), np.where(np.isnan(grid), -1, grid)
    instead = -1 if padding in ("reflection", "wrap") else np.sign(grid) * 1e3
    stand_in = np.where(infinite, instead, stand_in).astype(np.float32)
    spec = formula.Spec(padding, align_corners, None, 1)

    @functools.partial(jax.jit, compiler_options=QUICK)
    def everything(grid, stand_in):
        f = functools.partial(sampler(padding, align_corners), fill=fill)
        out, vjp = jax.vjp(lambda p: f(image, p), grid)
        g = jnp.tile(jnp.array([[1.0, 3.0]]), (len(grid), 1))
        return out, vjp(g)[0], f(image, stand_in), formula.sample(image, grid, fill, spec)

    out, dgrid, expected, formal = map(np.array, everything(grid, stand_in))
    if padding in ("zeros", "constant"):
        expected[infinite.any(-1)] = fill
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    np.testing.assert_allclose(out, formal, rtol=1e-6)
    assert np.isfinite(dgrid).all()
    assert not dgrid[~np.isfinite(grid)].any()


@EVERY
@BOTH
def test_any_coordinate_is_read_within_bounds(align_corners, padding):
    rng = np.random.default_rng(0)
    powers = 10.0 ** rng.integers(-45, 39, size=(2000, 2))
    grid = (rng.choice([-3, 3], size=(2000, 2)) * powers).astype(np.float32)
    image = rng.uniform(1, 2, size=(3, 7, 1)).astype(np.float32)
    f = sampler(padding, align_corners)
    out, vjp = jax.vjp(f, image, grid, np.ones(1, np.float32))
    assert (np.asarray(out) >= 0).all() and (np.asarray(out) <= 2.00001).all()
    assert all(np.isfinite(x).all() for x in vjp(jnp.ones_like(out)))
    if padding != "zeros":  # no weight is lost, nor written elsewhere
        dimage, _, dfill = vjp(jnp.ones_like(out))
        np.testing.assert_allclose(dimage.sum() + dfill.sum(), len(out), rtol=1e-4)


@pytest.mark.parametrize("padding", ["reflection", "wrap"])
def test_folding_is_exact_far_away(padding):
    """At whole pixels some millions off, where a rounded quotient is off by whole ones."""
    grid = ((2 * (np.arange(200) + 2**21) + 1) / 7 - 1).astype(np.float32)
    seen = ((grid + 1) * np.float32(7) - 1) / 2
    grid, seen = grid[seen == np.rint(seen)], seen[seen == np.rint(seen)].astype(int)
    assert len(grid) > 20
    image = jnp.arange(1.0, 8)[None, :, None]
    f = sampler(padding, False)
    out = f(image, jnp.stack([grid, jnp.zeros(len(grid))], -1), jnp.zeros(1))
    back = np.r_[0:7, 6:-1:-1][seen % 14] if padding == "reflection" else seen % 7
    np.testing.assert_array_equal(out[:, 0], 1 + back)


def test_empty_batches_and_grids():
    f = affine()[0]
    assert jax.vmap(f)(jnp.zeros((0, 6, 5, 3)), jnp.zeros((0, 2, 3))).shape == (0, 7, 4, 3)
    image = jnp.ones((6, 5, 3))
    assert native.sample(image, jnp.zeros((2, 0, 2))).shape == (2, 0, 3)
    assert native.sample(image, jnp.zeros(2)).shape == (3,)
    np.testing.assert_array_equal(
        jax.grad(lambda i: native.sample(i, jnp.zeros((0, 2))).sum())(image), jnp.zeros_like(image)
    )


def test_what_is_supported():
    assert native.supports("bilinear", "wrap", 3, jnp.float64)
    assert not native.supports("bicubic", "wrap", 3, jnp.float32)
    assert not native.supports("bilinear", "wrap", 4, jnp.float32)
    assert not native.supports("bilinear", "mirror", 3, jnp.float32)
    assert not native.supports("bilinear", "zeros", 3, jnp.bfloat16)
