"""Bilinear sampling in float64 with NumPy, and what the native sampler's tests ask it about."""

import jax.numpy as jnp
import numpy as np

from attn_jax.ops import affine_grid, native


def extended(index, size, padding, align_corners):
    """Which pixel stands at each whole position of the endless axis; -1: none."""
    if padding in ("zeros", "constant"):
        return np.where((index >= 0) & (index < size), index, -1)
    if padding == "border":
        return np.clip(index, 0, size - 1)
    if padding == "wrap":
        return index % size
    if align_corners:  # ... 2 1 0 1 2 ...
        return np.abs((index + size - 1) % max(2 * (size - 1), 1) - (size - 1))
    return np.minimum(index % (2 * size), 2 * size - 1 - index % (2 * size))  # ... 1 0 0 1 ...


def oracle(image, grid, g, padding, fill, align_corners):
    """One example's output [N, C], and the gradients of <g, output> to image, grid and fill."""
    height, width, channels = image.shape
    extent = np.array([width, height]) - align_corners
    pixel = (grid.astype(np.float64) + 1) / 2 * extent - (0 if align_corners else 0.5)
    low = np.floor(pixel).astype(int)
    part = pixel - low
    out, dgrid = np.zeros((len(grid), channels)), np.zeros((len(grid), 2))
    dimage, dfill = np.zeros(image.shape), np.zeros(channels)
    for right in (0, 1):
        for down in (0, 1):
            u = extended(low[:, 0] + right, width, padding, align_corners)
            v = extended(low[:, 1] + down, height, padding, align_corners)
            inside = (u >= 0) & (v >= 0)
            value = np.where(inside[:, None], image[v, u], fill)
            wx, wy = (part[:, k] if far else 1 - part[:, k] for k, far in ((0, right), (1, down)))
            out += (wx * wy)[:, None] * value
            np.add.at(dimage, (v[inside], u[inside]), ((wx * wy)[:, None] * g)[inside])
            dfill += ((wx * wy)[:, None] * g)[~inside].sum(0)
            slope = (value * g).sum(-1)
            dgrid += slope[:, None] * np.stack([wy * (2 * right - 1), wx * (2 * down - 1)], -1)
    return out, dimage, dgrid * extent / 2, dfill


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
