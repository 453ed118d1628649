"""Warps in whole numbers beside the same draws computed in float64, with oracles of SciPy's."""

import functools
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import RBFInterpolator

from attn_jax.data import bent, from_uint8, projected, rotated, rotated_scaled_translated
from attn_jax.data.fixed_point import divided, normal_steps, sample_levels, uniform_steps
from attn_jax.data.homographies import projective_places, square_to_quad

pytestmark = pytest.mark.slow  # test_distortions.py looks at the same in seconds

STEPS = 4096
N = 28
DIGIT = np.rint(
    255
    * np.clip(ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(N, N)), 3) * 8, 0, 1)
).astype(np.uint8)[..., None]


def drawn(key: jax.Array, count: int) -> np.ndarray:
    """Places in (0, 1) that a key draws."""
    return (np.asarray(jax.random.randint(key, (count,), 0, STEPS)) + 0.5) / STEPS


def between(place: float, low: float, high: float) -> float:
    return low + (high - low) * place


def read(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Read the digit at places from its middle, as levels."""
    rows, columns = (at + (N - 1) / 2 for at in (y, x))
    return ndimage.map_coordinates(np.pad(DIGIT[..., 0], 2) * 1.0, (rows + 2, columns + 2), order=1)


def canvas(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = np.arange(size) - (size - 1) / 2
    return tuple(np.meshgrid(axis, axis))


def similar(key: jax.Array) -> np.ndarray:
    """Compute `rotated_scaled_translated` as its docstring says it."""
    turned, grown, *at = drawn(key, 4)
    angle, scale = np.deg2rad(between(turned, -45, 45)), between(grown, 0.7, 1.2)
    room = 42 - scale * N
    x, y = (axis - room * (place - 0.5) for axis, place in zip(canvas(42), at, strict=True))
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    return read(c * x + s * y, c * y - s * x)


def at_an_angle(key: jax.Array) -> np.ndarray:
    """Compute `projected`: solve for the homography of the four corners."""
    grown, *moves = drawn(key, 9)
    moved = np.array([5 * NormalDist().inv_cdf(place) for place in moves]).reshape(4, 2)
    moved = np.rint(8 * moved) / 8
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * N / 2
    rows, right = [], []
    for (x, y), to in zip(corners, corners + moved, strict=True):
        for axis in range(2):
            first = [x, y, 1, 0, 0, 0] if axis == 0 else [0, 0, 0, x, y, 1]
            rows.append([*first, -x * to[axis], -y * to[axis]])
            right.append(to[axis])
    h = np.append(np.linalg.solve(rows, right), 1).reshape(3, 3)
    x, y = canvas(N)
    u, v, w = np.moveaxis(np.stack([x, y, np.ones_like(x)], -1) @ h.T, -1, 0)
    scale = between(grown, 0.75, 1.0)
    seen = w > 1e-6  # w is 1 at the canvas's middle
    return np.where(
        seen, read(u / np.where(seen, w, 1) / scale, v / np.where(seen, w, 1) / scale), 0
    )


def through_a_spline(key: jax.Array) -> np.ndarray:
    """Compute `bent`, by the thin-plate splines of SciPy."""
    grown, *moves = drawn(key, 33)
    moved = np.array([1.5 * NormalDist().inv_cdf(place) for place in moves]).reshape(16, 2)
    axis = np.linspace(-N / 2, N / 2, 4)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    spline = RBFInterpolator(points, points + moved, kernel="thin_plate_spline")
    x, y = canvas(N)
    places = spline(np.stack([x, y], -1).reshape(-1, 2)).reshape(N, N, 2)
    return read(*np.moveaxis(places / between(grown, 0.75, 1.0), -1, 0))


WARPS = {rotated_scaled_translated: similar, projected: at_an_angle, bent: through_a_spline}
KEYS = jax.random.split(jax.random.key(5), 3000)


@functools.cache
def compiled(compose):
    return jax.jit(jax.vmap(lambda key: compose(key, jnp.asarray(DIGIT))))


@functools.cache
def made(compose) -> np.ndarray:
    return np.asarray(compiled(compose)(KEYS))


@pytest.mark.parametrize("compose", WARPS)
def test_a_warp_is_what_its_docstring_says(compose):
    for one, key in zip(made(compose)[:30], KEYS, strict=False):
        away = np.abs(255 * one[..., 0] - WARPS[compose](key))
        # Places are rounded to 1/128 pixel, levels to 1; a level rises by up to 60 a pixel.
        assert away.mean() < 0.4
        assert np.quantile(away, 0.99) < 2


@pytest.mark.parametrize("compose", WARPS)
def test_thousands_of_keys_give_levels(compose):
    x = made(compose)
    assert x.min() == 0 and x.max() <= 1
    np.testing.assert_array_equal(from_uint8(np.rint(255 * x).astype(np.uint8)), x)
    assert x.any((1, 2, 3)).mean() > 0.999


@pytest.mark.parametrize("compose", [projected, bent])
def test_points_that_are_moved_across_each_other_give_levels(compose):
    x = np.asarray(compiled(functools.partial(compose, sigma=12.0))(KEYS))
    np.testing.assert_array_equal(from_uint8(np.rint(255 * x).astype(np.uint8)), x)
    assert x.any((1, 2, 3)).mean() > 0.9


@pytest.mark.parametrize("compose", WARPS)
def test_no_bit_depends_on_the_batch(compose):
    np.testing.assert_array_equal(compiled(compose)(KEYS[100:107]), made(compose)[100:107])


@pytest.mark.parametrize("side", [1, 6, 9])
def test_a_sample_is_exact(side: int):
    rng = np.random.default_rng(side)
    levels = rng.integers(0, 256, (side, side + 2))
    padded = np.pad(levels, 50)
    x, y = rng.integers(-128 * 8, 128 * 8, (2, 500))
    x[:2] = -(2**24), 2**24  # far outside
    row, down = np.divmod(np.clip(y, -5000, 5000) + 64 * (side - 1), 128)
    column, right = np.divmod(np.clip(x, -5000, 5000) + 64 * (side + 1), 128)
    total = 0
    for i, weight in ((0, 128 - down), (1, down)):
        for j, along in ((0, 128 - right), (1, right)):
            total += weight * along * padded[row + i + 50, column + j + 50]
    found = sample_levels(
        jnp.asarray(levels, jnp.float32)[..., None],
        jnp.asarray(x, jnp.int32),
        jnp.asarray(y, jnp.int32),
    )
    np.testing.assert_array_equal(found[:, 0], np.rint(total / 2**14))
    assert found.any()


def test_the_homography_takes_corners_to_corners():
    corners = np.random.default_rng(1).integers(-200, 200, (50, 4, 2))
    for quad in corners:
        (rows, last) = (np.asarray(part, np.int64) for part in square_to_quad(jnp.asarray(quad)))
        for unit, to in zip(([0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]), quad, strict=True):
            np.testing.assert_array_equal(rows @ unit, to * (last @ unit))


def test_a_corner_beyond_infinity_hides_what_lies_there():
    moves = np.zeros(STEPS)
    moves[1] = -20.0
    draws = jnp.array([[0, 0], [0, 0], [1, 1], [0, 0]])  # right below, over the other diagonal
    x, y = projective_places(draws, jnp.float32(1), moves, N)
    hidden = np.asarray(x) == 2**24
    assert hidden[0, 0] and 0.02 < hidden.mean() < 0.5
    assert not hidden[14:, 14:].any()
    np.testing.assert_array_equal(hidden, np.asarray(y) == 2**24)


def test_what_is_drawn_has_its_distribution():
    steps = uniform_steps(-90, 90)
    assert -90 < steps.min() < -89.9 and 89.9 < steps.max() < 90
    np.testing.assert_allclose([steps.mean(), steps.std()], [0, 90 / np.sqrt(3)], atol=1e-3)
    normal = normal_steps(5.0)
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 5], atol=0.01)
    np.testing.assert_allclose(normal.max(), 5 * 3.67, atol=0.02)


@given(st.integers(-(2**29), 2**29), st.integers(1, 13))
@settings(max_examples=50, deadline=None)
def test_division_rounds_to_the_nearest(number: int, bits: int):
    quotient = int(divided(jnp.int32(number), 2**bits))
    assert abs(quotient * 2**bits - number) <= 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("compose", "options", "line"),
    [
        (
            projected,
            {"size": 800, "scale": (1.0, 1.0)},
            r"size / 2 and a corner's largest move .* got 400 and 18.3",
        ),
        (projected, {"sigma": 1000.0}, "at most 323 pixels together"),
        (bent, {"sigma": 1e6}, "sigma must be small enough to compute with; got 1000000.0"),
        (rotated_scaled_translated, {"scale": (0.01, 1.0)}, "scale must be at least 0.041"),
        (
            bent,
            {"scale": (1.0, 0.5)},
            r"scale must be \(smallest, largest\), above 0; got \(1.0, 0.5",
        ),
        (rotated, {"angle": -1.0}, "angle must be 0 to 180 degrees; got -1.0"),
    ],
)
def test_what_cannot_be_computed_is_refused(compose, options: dict, line: str):
    with pytest.raises(ValueError, match=rf"\A[^\n]*{line}[^\n]*\Z"):
        compose(jax.random.key(0), jnp.asarray(DIGIT), **options)
