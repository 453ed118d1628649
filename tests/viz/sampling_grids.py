"""Sampling grids made in NumPy, with images and views to go with them."""

from types import SimpleNamespace

import numpy as np


def grid(theta, size=(4, 4)):
    """Compute an affine grid in NumPy, pixel centres at odd multiples of 1 / n."""
    y, x = ((2 * np.arange(n) + 1 - n) / n for n in size)
    places = np.stack([*np.meshgrid(x, y), np.ones(size)], -1)
    return places @ np.asarray(theta, float).T


def box(theta, size=(3, 4, 4)):
    z, y, x = np.meshgrid(*((2 * np.arange(n) + 1 - n) / n for n in size), indexing="ij")
    return np.stack([x, y, z, np.ones(size)], -1) @ np.asarray(theta, float).T


IDENTITY = [[1, 0, 0], [0, 1, 0]]
HALF = [[0.5, 0, 0.25], [0, 0.5, -0.25]]


def bent(n=8):
    places = grid(IDENTITY, (n, n))
    return places + 0.2 * np.sin(2 * places[..., ::-1])


def projective(h, n=8):
    places = grid(IDENTITY, (n, n))
    u, v, w = np.moveaxis(np.concatenate([places, np.ones((n, n, 1))], -1) @ np.array(h).T, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([u / w, v / w], -1)


def case(grids, height=8, width=8, channels=1):
    """Make images and views for grids [N, P, h, w, 2]."""
    rng, grids = np.random.default_rng(0), np.asarray(grids, float)
    return SimpleNamespace(
        images=rng.uniform(size=(len(grids), height, width, channels)),
        grids=grids,
        views=rng.uniform(size=(*grids.shape[:-1], channels)),
    )


ONE = case(np.tile(grid(HALF), (2, 1, 1, 1, 1)))
