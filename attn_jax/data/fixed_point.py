"""Warps in whole numbers, so that a warped image is the same to the last bit everywhere.

A composed image must depend neither on its batch, nor on what XLA fuses, nor on the device: a
frozen test set stays what it was. So whatever is drawn is one of `STEPS` values that NumPy has
computed, places are whole numbers of 1/`PIXEL` pixel, and all sums and products fit exactly into
int32 or float32. The quotients of `homographies` alone are rounded, as IEEE 754 says; a device that
divides otherwise may differ there by a level.
"""

import math
from statistics import NormalDist

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Shaped

from attn_jax.ops import grid_sample

STEPS = 4096  # how many values an angle, a scale or a normal number may have
PIXEL = 128  # places a pixel: a weight has 7 bits, four of them times a level 22, of float32's 24
ENTRY = 4096  # steps of a matrix's entry from 0 to 1


def uniform_steps(low: float, high: float) -> Float[np.ndarray, "STEPS"]:
    """The middles of `STEPS` equal parts of a range, from which one is drawn."""
    return low + (high - low) * (np.arange(STEPS) + 0.5) / STEPS


def normal_steps(sigma: float) -> Float[np.ndarray, "STEPS"]:
    """Quantiles of a normal of mean 0 at `STEPS` probabilities; the largest is 3.67 sigma."""
    quantile = NormalDist().inv_cdf
    return sigma * np.array([quantile((i + 0.5) / STEPS) for i in range(STEPS)])


def whole(values: np.ndarray, unit: int) -> Int[np.ndarray, "..."]:
    """Round values to whole numbers of 1/unit."""
    return np.rint(np.asarray(values) * unit).astype(np.int32)


def divided(number: Int[Array, "..."], unit: int) -> Int[Array, "..."]:
    """Divide by a power of two, rounded to the nearest whole number."""
    return (number + unit // 2) >> unit.bit_length() - 1


def pixel_axis(size: int) -> Int[np.ndarray, "size"]:
    """The centres of an axis's pixels from its middle, in 1/PIXEL pixel."""
    return (2 * np.arange(size, dtype=np.int32) + 1 - size) * (PIXEL // 2)


def levels_of(pixels: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """Convert uint8, or floats in [0, 1], to levels 0 to 255 in float32, whole numbers."""
    if pixels.dtype == jnp.uint8:
        return pixels.astype(jnp.float32)
    return jnp.rint(255 * pixels.astype(jnp.float32))


def sample_levels(
    levels: Float[Array, "h w C"], x: Int[Array, "*size"], y: Int[Array, "*size"]
) -> Float[Array, "*size C"]:
    """Sample an image bilinearly, zeros around it; levels are rounded to whole numbers.

    Args:
      levels: whole numbers.
      x, y: places from the image's middle, in 1/PIXEL pixel.
    """
    # On an axis of a power of two pixels, coordinates in [-1, 1] are exact too.
    sides = [1 << (n - 1).bit_length() for n in levels.shape[:2]]
    gaps = [side - n for side, n in zip(sides, levels.shape[:2], strict=True)]
    padded = jnp.pad(levels, [*((gap // 2, gap - gap // 2) for gap in gaps), (0, 0)])
    grid = [
        # Far outside is as good as further; an odd gap moves the image's middle by half a pixel.
        jnp.clip(place - PIXEL // 2 * (gap % 2), -2 * PIXEL * side, 2 * PIXEL * side)
        .astype(jnp.float32)
        * (2 / (PIXEL * side))
        for place, side, gap in zip((y, x), sides, gaps, strict=True)
    ]  # fmt: skip
    return jnp.rint(grid_sample(padded, jnp.stack(grid[::-1], -1)))


def bits_below(limit: float, bound: float) -> int:
    """The largest b for which bound * 2^b is at most the limit; negative if there is none."""
    return math.floor(math.log2(limit / max(bound, 1e-30)))
