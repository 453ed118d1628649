"""Distorted digits beside the same warps by scipy, pixel by pixel in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from attn_jax.data import bent, projected, rotated, rotated_scaled_translated

KEYS = jax.random.split(jax.random.key(0), 2000)


def blob(size: int = 12) -> np.ndarray:
    """A bright smooth spot off the centre, with nothing at the edges."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    level = 255 * np.exp(-((x - 1) ** 2 + (y + 1.5) ** 2) / 3)
    return np.rint(level).astype(np.uint8)[..., None]


def made(compose, digit: np.ndarray, keys=KEYS) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(lambda key: compose(key, jnp.asarray(digit))))(keys))


def centroids(x: np.ndarray) -> np.ndarray:
    """[N, 2], (x, y) of the ink from the canvas's middle."""
    n = x.shape[1]
    weight = x[..., 0] / x[..., 0].sum((1, 2))[:, None, None]
    axis = np.arange(n) - (n - 1) / 2
    return np.stack([(weight.sum(1) * axis).sum(1), (weight.sum(2) * axis).sum(1)], -1)


def test_a_rotation_is_scipys():
    digit = blob()
    x = made(partial(rotated, angle=90.0), digit, KEYS[:50])
    start = np.arctan2(*centroids(digit[None] / 255.0)[0][::-1])
    for one, place in zip(x, centroids(x), strict=True):
        angle = start - np.arctan2(place[1], place[0])  # counterclockwise on the screen
        turned = ndimage.rotate(
            digit[..., 0].astype(float), np.degrees(angle), reshape=False, order=1
        )
        np.testing.assert_allclose(255 * one[..., 0], turned, atol=8)  # the angle is estimated


@pytest.mark.parametrize("angle", [0.0, 30.0, 180.0])
def test_angles_are_uniform_up_to_the_largest(angle: float):
    digit = blob()
    start = np.arctan2(*centroids(digit[None] / 255.0)[0][::-1])
    places = centroids(made(partial(rotated, angle=angle), digit))
    turned = np.degrees((np.arctan2(places[:, 1], places[:, 0]) - start + np.pi) % (2 * np.pi))
    turned -= 180
    assert np.abs(turned).max() <= angle + 1.5
    assert np.abs(turned).max() >= 0.98 * angle - 1.5
    assert turned.std() == pytest.approx(angle / np.sqrt(3), rel=0.06, abs=0.6)


def test_rotation_by_0_changes_no_bit():
    digit = blob()
    np.testing.assert_array_equal(
        np.rint(255 * made(partial(rotated, angle=0.0), digit, KEYS[:2])[0]), digit
    )


def test_scaling_and_places_stay_in_their_ranges():
    digit = np.full((10, 10, 1), 255, np.uint8)
    still = partial(rotated_scaled_translated, size=20, angle=0.0)
    x = made(still, digit)
    sides = np.sqrt(x.sum((1, 2, 3)))
    assert 6.9 <= sides.min() <= 7.1
    assert 11.9 <= sides.max() <= 12.1
    assert sides.mean() == pytest.approx(9.5, abs=0.1)  # uniform over 0.7 to 1.2
    assert (x.max((0, 3)) > 0).all()  # every pixel of the canvas is reached
    edge = np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], 1)
    lit = (x > 0).any((2, 3)).sum(1)
    assert (lit <= 14).all() and edge.max() <= 1  # the whole digit lies inside
    assert np.allclose(sides**2, x.sum((1, 2, 3)))


@pytest.mark.parametrize("compose", [projected, bent])
def test_without_moves_it_is_a_scaling(compose):
    digit = blob(16)
    x = made(partial(compose, scale=(0.5, 0.5), sigma=0.0), digit, KEYS[:1])[0, ..., 0]
    axis = (np.arange(16) - 7.5) / 0.5 + 7.5
    grid = np.meshgrid(axis, axis, indexing="ij")
    expected = ndimage.map_coordinates(digit[..., 0].astype(float), grid, order=1)
    np.testing.assert_allclose(255 * x, expected, atol=0.51)


@pytest.mark.parametrize("compose", [projected, bent])
def test_moves_of_any_size_give_numbers_and_levels(compose):
    x = 255 * made(partial(compose, sigma=5.0), blob(28))
    np.testing.assert_allclose(x, np.rint(x), atol=1e-4)
    assert x.min() == 0 and x.max() <= 255
    assert x.std((1, 2, 3)).std() > 0


@pytest.mark.parametrize("compose", [rotated, rotated_scaled_translated, projected, bent])
def test_channels_are_distorted_alike(compose):
    digit = np.concatenate([blob(), blob(), blob() // 2], -1)
    x = made(compose, digit, KEYS[:20])
    np.testing.assert_array_equal(x[..., 0], x[..., 1])
    assert np.abs(x[..., 0] / 2 - x[..., 2]).max() <= 1.01 / 255


@pytest.mark.parametrize(
    ("compose", "changed", "line"),
    [
        (rotated, {"size": 10}, "size must be at least the digit's 12 x 12 pixels; got 10"),
        (rotated, {"angle": 200.0}, "angle"),
        (rotated_scaled_translated, {"size": 13}, "12 x 12 pixels times 1.2; got 13"),
        (rotated_scaled_translated, {"scale": (1.2, 0.7)}, "scale"),
        (projected, {"sigma": -1.0}, "sigma"),
        (bent, {"sigma": -1.0}, "sigma"),
        (bent, {"scale": (0.0, 1.0)}, "scale"),
    ],
)
def test_bad_arguments_are_one_line(compose, changed: dict, line: str):
    with pytest.raises(ValueError, match=line) as refused:
        compose(KEYS[0], jnp.asarray(blob()), **changed)
    assert "\n" not in str(refused.value)
