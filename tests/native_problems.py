"""What the native sampler's tests ask it about."""

import jax.numpy as jnp
import numpy as np

from attn_jax.ops import affine_grid, native


def problem(shape, n=40, batch=3, align_corners=False, seed=0):
    """Images, grids between pixels, inside and up to three images off, fills, g."""
    rng = np.random.default_rng(seed)
    size = np.array([shape[1], shape[0]])
    whole = rng.integers(-3 * size, 4 * size, size=(batch, n, 2))
    pixel = np.where(rng.uniform(size=(batch, n, 1)) < 0.5, rng.integers(-1, size + 1), whole)
    pixel = pixel + rng.uniform(0.1, 0.9, size=pixel.shape)
    extent = np.maximum(size - align_corners, 1)  # a single aligned pixel: anywhere
    grid = (pixel + (0 if align_corners else 0.5)) * 2 / extent - 1
    image, fill = rng.normal(size=(batch, *shape)), rng.normal(size=(batch, shape[2]))
    return image, grid, fill, rng.normal(size=(batch, n, shape[2]))


def sampler(padding, align_corners):
    def f(image, grid, fill):
        fill = fill if padding == "constant" else 0.0
        return native.sample(image, grid, padding=padding, fill=fill, align_corners=align_corners)

    return f


def affine(padding="zeros", size=(7, 4), align_corners=False):
    """In one step, and in two."""
    options = {"padding": padding, "align_corners": align_corners}

    def one(image, theta):
        return native.affine(image, theta, size, **options)

    def two(image, theta):
        return native.sample(
            image, affine_grid(theta, size, align_corners=align_corners), **options
        )

    return one, two


def thetas(count=3, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, 2, 3)))


def images(count=3, shape=(6, 5, 3), seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, *shape)))
