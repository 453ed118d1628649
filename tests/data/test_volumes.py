"""Extruded digits beside the trilinear sampling of SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from attn_jax.data import extruded

N, SIZE, DEPTH = 12, 22, 5
DIGIT = np.rint(
    255
    * np.clip(ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(N, N)), 2) * 6, 0, 1)
).astype(np.uint8)[..., None]
KEYS = jax.random.split(jax.random.key(2), 12)


def sampled(key: jax.Array, angle: float) -> np.ndarray:
    """Turn and move the body as the docstring says, in float64."""
    draws = (np.asarray(jax.random.randint(key, (6,), 0, 4096)) + 0.5) / 4096
    about_z, about_x, about_y = angle * (2 * draws[:3] - 1)
    turn = Rotation.from_euler("zxy", [about_z, about_x, about_y], degrees=True)  # extrinsic
    place = (SIZE - np.array([N, N, DEPTH])) * (draws[3:] - 0.5)
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    away = np.stack([x, y, z], -1).reshape(-1, 3) - place
    x, y, z = turn.inv().apply(away).T
    body = np.pad(np.repeat(DIGIT[None, ..., 0] * 1.0, DEPTH, 0), 2)
    rows = [at + (side + 3) / 2 for at, side in ((z, DEPTH), (y, N), (x, N))]
    return ndimage.map_coordinates(body, rows, order=1).reshape((SIZE,) * 3)


@pytest.mark.parametrize("angle", [0.0, 45.0, 180.0])
def test_a_body_is_scipys(angle: float):
    made = jax.jit(
        jax.vmap(lambda key: extruded(key, jnp.asarray(DIGIT), size=SIZE, angle=angle, depth=DEPTH))
    )(KEYS)
    for one, key in zip(255 * np.asarray(made), KEYS, strict=True):
        away = np.abs(one[..., 0] - sampled(key, angle))
        assert away.mean() < 0.3 and away.max() < 6


def test_a_body_that_is_not_turned_lies_inside():
    white = jnp.full((4, 6, 2), 255, jnp.uint8)
    keys = jax.random.split(jax.random.key(0), 300)
    made = np.asarray(
        jax.jit(jax.vmap(lambda key: extruded(key, white, size=9, angle=0.0, depth=3)))(keys)
    )
    assert made.shape == (300, 9, 9, 9, 2)
    np.testing.assert_allclose(made.sum((1, 2, 3))[:, 0], 4 * 6 * 3, rtol=0.02)
    assert (made.max((0, 4)) > 0).all()  # every voxel is reached
    np.testing.assert_array_equal(made[..., 0], made[..., 1])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"size": 11}, "size must be at least the digit's 12 x 12 pixels; got 11"),
        ({"size": 600}, "size must be at most 512 voxels a side; got 600"),
        ({"size": 20, "depth": 21}, "depth must be 1 to 20 voxels; got 21"),
        ({"depth": 0}, "depth must be 1 to 60 voxels; got 0"),
        ({"angle": 181.0}, "angle must be 0 to 180 degrees; got 181.0"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict, line: str):
    with pytest.raises(ValueError, match=rf"\A{line}\Z"):
        extruded(KEYS[0], jnp.asarray(DIGIT), **options)
