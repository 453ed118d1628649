"""`grid_sample` where it is hard: not finite, huge, empty, narrow; its derivatives, its traces."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from attn_jax.ops import grid_sample
from attn_jax.ops.kernels import KERNELS, first_and_fraction
from attn_jax.ops.native import library
from attn_jax.ops.padding import Boundary
from attn_jax.yardsticks.oracle import oracle
from tests.ops import sampling_cases as cases

sample = cases.quick_jit(grid_sample, static_argnames=("mode", "padding", "align_corners"))
some = cases.each([case for case in cases.SOME if case.mode != "lanczos3"])
CHOSEN = [
    (2, "bilinear", "zeros", False), (2, "bicubic", "border", True), (2, "bilinear", "wrap", True),
    (2, "bilinear", "reflection", False), (3, "bilinear", "constant", False),
    (2, "bilinear", "reflection", False, "native"),
]  # fmt: skip


@some
def test_coordinates_that_are_not_finite(case):
    dims, mode, padding, align_corners, _ = case
    image = np.random.default_rng(0).uniform(1, 2, size=cases.SHAPES[dims]).astype(np.float32)
    inside = 0.1
    grid = np.full((cases.PLACES, dims), inside, np.float32)
    grid[:3, 0] = [np.nan, np.inf, -np.inf]
    read_as = grid.copy()
    read_as[0, 0] = -1
    read_as[1:3, 0] = [9, -9] if padding in ("zeros", "constant", "border") else -1
    images, grids = (np.broadcast_to(a, (180, *a.shape)) for a in (image, grid))
    out = cases.batched(*case[1:])(images, grids)[0]
    fill = cases.FILL if padding == "constant" else 0.0
    kwargs = {"mode": mode, "padding": padding, "align_corners": align_corners, "fill": fill}
    np.testing.assert_allclose(out, oracle(image, read_as, **kwargs).value, atol=1e-5)


@cases.each(CHOSEN)
def test_gradients_are_zero_where_coordinates_are_not_finite(case):
    grids = np.zeros((180, cases.PLACES, case.dims))
    grids[:, :3, 0] = [np.nan, np.inf, -np.inf]
    with jax.enable_x64(True):
        images, _ = cases.pairs(case.dims, 180)
        ones = np.ones((180, cases.PLACES, 2))
        _, to_images, to_grids = cases.pulled(*case[1:])(images, grids, ones)
    assert np.isfinite(to_images).all()
    np.testing.assert_array_equal(to_grids[:, :3, 0], 0)
    assert np.isfinite(to_grids).all()
    assert np.abs(to_grids[:, 3]).max() > 0.1


NUMBERS = st.one_of(
    st.floats(-3, 3, width=32), st.floats(width=32),
    st.sampled_from([1e-45, -1e-40, 1e30, -3.4e38, 0.0, -0.0, 1.0, -1.0, np.inf, np.nan]),
)  # fmt: skip
WHERE = st.lists(NUMBERS, min_size=8, max_size=8)


@some
@settings(max_examples=5, deadline=None, derandomize=True)
@given(where=WHERE, seed=st.integers(0, 2**16))
def test_any_coordinate_reads_something_between_the_pixels(case, where, seed):
    dims, mode, padding = case[:3]
    images, grids = (a.astype(np.float32) for a in cases.pairs(dims, 180, seed))
    grids[:4, :2, 0], grids[:4, :2, 1] = (np.reshape(w, (4, 2)) for w in (where, where[::-1]))
    out = np.asarray(cases.batched(*case[1:])(images, grids))
    assert np.isfinite(out).all()
    overshoot = 1.0 if mode != "bicubic" else 1.375**dims  # the sum of the weights' sizes
    assert np.abs(out).max() <= overshoot * 1.2 + 1e-5
    far = np.isfinite(grids) & (np.abs(grids) > 5)
    outside = far.any(-1) & ~np.isnan(grids).any(-1)
    if padding in ("zeros", "constant"):
        fill = np.float32(cases.FILL) if padding == "constant" else np.float32([0, 0])
        np.testing.assert_allclose(
            out[outside], np.broadcast_to(fill, out[outside].shape), atol=1e-5
        )
    if padding == "border" and mode in ("nearest", "bilinear"):
        held = cases.batched(*case[1:])(images, np.clip(grids, -5, 5))
        finite = np.isfinite(grids).all(-1)
        np.testing.assert_allclose(out[finite], np.asarray(held)[finite], atol=1e-6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=2, max_size=3), channels=st.integers(1, 5),
    places=st.integers(0, 5), reach=st.sampled_from([1.0, 1.5, 8.0]), seed=st.integers(0, 2**16),
    mode=st.sampled_from(["nearest", "bilinear"]), padding=st.sampled_from(cases.PADDINGS),
    align_corners=st.booleans(), native=st.booleans(),
)  # fmt: skip
def test_any_shape_agrees_with_the_oracle(
    sizes, channels, places, reach, seed, mode, padding, align_corners, native
):
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, size=(*sizes, channels)).astype(np.float32)
    grid = (reach * rng.uniform(-1, 1, size=(places, len(sizes)))).astype(np.float32)
    chosen = {"mode": mode, "padding": padding, "align_corners": align_corners}
    if padding == "constant":
        chosen["fill"] = 0.5
    native = native and len(sizes) == 2 and mode == "bilinear" and library._compiler()
    f = functools.partial(grid_sample, **chosen, implementation="native" if native else "xla")
    out = cases.quick_jit(f)(image, grid)
    np.testing.assert_allclose(out, oracle(image, grid, **chosen).value, atol=2e-5)


@pytest.mark.parametrize("implementation", cases.IMPLEMENTATIONS)
def test_no_channels_are_read_from_an_image_of_none(implementation):
    f = functools.partial(grid_sample, implementation=implementation)
    out, pull = jax.vjp(f, jnp.ones((3, 4, 0)), jnp.zeros((2, 2)))
    assert out.shape == (2, 0)
    assert [gradient.shape for gradient in pull(out)] == [(3, 4, 0), (2, 2)]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    numbers=st.lists(NUMBERS, min_size=16, max_size=16), size=st.integers(1, 9),
    mode=st.sampled_from(list(KERNELS)), padding=st.sampled_from(cases.PADDINGS),
    align_corners=st.booleans(),
)  # fmt: skip
def test_no_tap_leaves_the_margins(numbers, size, mode, padding, align_corners):
    # Gathers and scatters are promised to be in bounds: beyond them memory would be read.
    boundary = Boundary(padding, KERNELS[mode], align_corners)
    before, after = boundary.margins(size)
    place = boundary.bounded_place(jnp.asarray(numbers, jnp.float32), size)
    first, fraction = (np.asarray(a) for a in first_and_fraction(boundary.kernel, place))
    assert first.min() >= -before
    assert first.max() + KERNELS[mode].taps <= size + after
    assert fraction.min() >= 0 and fraction.max() <= 1
    for k in range(KERNELS[mode].taps):
        pixel, _ = boundary.pixel(jnp.asarray(first + k), size)
        assert pixel.min() >= 0 and pixel.max() < size


def smooth_pairs(case):
    """Places between the kinks of every mode and padding: between pixels, and not half-way."""
    dims, align_corners = case.dims, case.align_corners
    rng = np.random.default_rng(0)
    sizes = np.array(cases.SHAPES[dims][:-1][::-1])
    pixels = rng.integers(-2, 6, size=(3, dims)) + rng.choice([0.2, 0.3, 0.7, 0.8], size=(3, dims))
    extent = np.maximum(sizes - 1, 1) if align_corners else sizes
    grid = 2 * pixels / extent - 1 if align_corners else (2 * pixels + 1) / extent - 1
    return jnp.asarray(rng.uniform(size=cases.SHAPES[dims])), jnp.asarray(grid)


@pytest.fixture
def quick():
    """Every program compiled with little effort: there are many, and they run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.usefixtures("quick")
@cases.each([CHOSEN[3], CHOSEN[5]])
def test_derivatives_of_first_and_second_order_in_both_modes(case):
    with jax.enable_x64(True):
        sample = jax.jit(lambda image, grid: grid_sample(image, grid, **cases.options(*case[1:])))
        check_grads(sample, smooth_pairs(case), order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@cases.each(cases.ALL)
def test_all_derivatives_of_first_and_second_order_in_both_modes(case):
    test_derivatives_of_first_and_second_order_in_both_modes(case)


def test_the_gradient_to_fill_is_what_is_missing():
    @jax.jit
    def total(fill):
        grid = jnp.asarray([[-1.0, 0.0], [5.0, 0.0], [0.0, 0.0]])
        return grid_sample(jnp.ones((4, 4, 2)), grid, padding="constant", fill=fill).sum(0)

    np.testing.assert_allclose(jax.jacobian(total)(jnp.zeros(2)), 1.5 * np.eye(2))
    np.testing.assert_allclose(jax.jacobian(total)(jnp.zeros(())), [1.5, 1.5])


def text_of(argnums, mode="bilinear"):
    def total(image, grid):
        return jax.vmap(functools.partial(grid_sample, mode=mode))(image, grid).sum()

    images, grids = (jnp.asarray(a, jnp.float32) for a in cases.pairs(2, 3))
    return jax.jit(jax.grad(total, argnums)).lower(images, grids).as_text()


def test_no_more_is_done_than_is_asked_for():
    assert "scatter" not in text_of(1)  # the grid alone
    assert text_of(0).count('"stablehlo.scatter"') == 1
    assert text_of((0, 1)).count('"stablehlo.scatter"') == 1
    assert '"stablehlo.gather"' not in text_of(0)  # the image's gradient reads no image
    assert "scatter" not in text_of(1, "nearest")


def test_the_gradient_of_nearest_to_the_grid_is_zero():
    images, grids = (jnp.asarray(a, jnp.float32) for a in cases.pairs(2, 3))
    sampled = jax.vmap(functools.partial(grid_sample, mode="nearest"))
    gradient = jax.jit(jax.grad(lambda g: sampled(images, g).sum()))(grids)
    np.testing.assert_array_equal(gradient, 0)


def test_a_gradient_is_the_same_bit_for_bit_each_time():
    images, grids = (a.astype(np.float32) for a in cases.pairs(2, 180))
    pull = cases.pulled("bilinear", "zeros", False)
    ones = np.ones((180, cases.PLACES, 2), np.float32)
    for first, second in zip(pull(images, grids, ones), pull(images, grids, ones), strict=True):
        np.testing.assert_array_equal(first, second)


def test_one_trace_serves_all_values():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def sample(image, grid):
        return grid_sample(image, grid)

    for seed in range(3):
        images, grids = cases.pairs(2, 1, seed)
        sample(jnp.asarray(images[0], jnp.float32), jnp.asarray(grids[0], jnp.float32))


def test_a_scan_carries_what_it_reads():
    images, grids = (jnp.asarray(a, jnp.float32) for a in cases.pairs(2, 3))

    @jax.jit
    def scanned(image, grids):
        return jax.lax.scan(lambda c, grid: (c, grid_sample(image, grid)), 0, grids)[1]

    mapped = cases.batched()(jnp.broadcast_to(images[0], images.shape), grids)
    np.testing.assert_allclose(scanned(images[0], grids), mapped, atol=1e-6)


@cases.each(
    [
        (2, "bilinear", "zeros", False), (2, "bicubic", "border", False),
        (2, "nearest", "constant", False), (2, "bilinear", "wrap", False),
        (2, "bilinear", "zeros", False, "native"), (2, "bilinear", "wrap", False, "native"),
    ]
)  # fmt: skip
def test_flips_commute(case):
    images, grids = (a.astype(np.float32) for a in cases.pairs(2, 180))
    sample = cases.batched(*case[1:])
    flipped = sample(images[:, :, ::-1], grids * np.float32([-1, 1]))
    np.testing.assert_allclose(flipped, sample(images, grids), atol=1e-5)
    flipped = sample(images[:, ::-1], grids * np.float32([1, -1]))
    np.testing.assert_allclose(flipped, sample(images, grids), atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "lanczos3"])
@pytest.mark.parametrize("padding", ["wrap", "constant"])
def test_the_identity_returns_an_image_of_a_power_of_two_bit_for_bit(mode, padding):
    image = jax.random.normal(jax.random.key(0), (4, 8, 1))
    x, y = ((2 * np.arange(n, dtype=np.float32) + 1) / n - 1 for n in (8, 4))
    grid = jnp.stack(jnp.meshgrid(x, y), -1)
    fill = {"fill": 5.0} if padding == "constant" else {}
    np.testing.assert_array_equal(sample(image, grid, mode=mode, padding=padding, **fill), image)


def test_wrap_repeats_whatever_the_alignment():
    image = jnp.arange(4.0)[None, :, None]
    for aligned, unit in ((False, 2 / 4), (True, 2 / 3)):
        grid = jnp.asarray([[(n if aligned else n + 0.5) * unit - 1, 0.0] for n in range(-6, 9)])
        out = sample(image, grid, padding="wrap", align_corners=aligned)[:, 0]
        np.testing.assert_allclose(out, np.arange(-6, 9) % 4, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("lead", [(), (0,), (2, 0, 1), (2, 1)])
def test_grids_of_any_rank_and_batches_of_none(dims, lead):
    image, grid = jnp.ones((1,) * dims + (3,)), jnp.zeros((*lead, dims))
    assert jax.eval_shape(grid_sample, image, grid).shape == (*lead, 3)
    several = jnp.ones((0, *image.shape)), jnp.zeros((0, *grid.shape))
    assert jax.eval_shape(jax.vmap(grid_sample), *several).shape == (0, *lead, 3)


@pytest.mark.parametrize("padding", ["border", "reflection", "wrap"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_one_pixel_is_read_everywhere(padding, align_corners):
    image, grid = jnp.full((1, 1, 2), 3.0), jnp.asarray([[0.0, 0.0], [0.6, -7.0], [jnp.inf, -0.3]])
    out = sample(image, grid, mode="bicubic", padding=padding, align_corners=align_corners)
    np.testing.assert_allclose(out, 3, rtol=1e-6)


def test_an_empty_batch_has_an_empty_gradient():
    none = jnp.ones((0, 3, 3, 1)), jnp.zeros((0, 4, 2))
    gradients = jax.jit(jax.grad(lambda *a: jax.vmap(grid_sample)(*a).sum(), (0, 1)))(*none)
    assert [g.shape for g in gradients] == [a.shape for a in none]


def test_a_pixel_that_is_no_number_stays_inside():
    image = jnp.full((3, 3, 1), jnp.nan)
    np.testing.assert_array_equal(sample(image, jnp.asarray([[5.0, 0.0], [0.0, -9.0]])), 0)


def test_narrow_gradients_are_summed_wide():
    # In bfloat16 a running sum of ones stops at 256.
    grid = jnp.zeros((1000, 2))
    total = jax.jit(jax.grad(lambda image: grid_sample(image, grid).astype(jnp.float32).sum()))
    gradient = total(jnp.ones((1, 1, 1), jnp.bfloat16))
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(float(gradient[0, 0, 0]), 1000, rtol=0.01)
