"""The choice of the form that a convolution has on a CPU, by its geometry.

The constants are fitted to the time of each form inside a loop, on one core, over the layers of
`experiments.benchmark --what=conv`.
"""

import math
from typing import Any

import jax.numpy as jnp

from attn_jax.ops.convolution import banded
from attn_jax.ops.convolution.geometry import Geometry, Pair

# The time to copy a number of a patch, or to add it up again, over that of a multiplication.
_COPY = {"forward": 96, "to_input": 64, "to_kernel": 16}
_TILES = (1, 2, 4, 8)
_DEEP = 32  # numbers of a window, or channels: XLA's convolutions are narrow products below it


def choose_tile(operation: str, geometry: Geometry, channels: Pair, dtype: Any) -> int | None:
    """Choose the columns of a tile of the banded product, or None for a canonical convolution.

    Args:
      operation: "forward", "to_input" or "to_kernel".
      geometry: of the convolution.
      channels: (C, O) of a group.
      dtype: that of the computation; XLA's convolutions in float64 are naive loops.
    """
    if dtype != jnp.float64 and _is_fast(operation, geometry, channels[0]):
        return None
    copy, width = _COPY[operation], geometry.out[1]

    def cost(tile: int) -> float:
        return banded.reach(geometry, tile) * (channels[1] + copy / tile)

    return min((tile for tile in _TILES if tile <= width), key=cost)


def _is_fast(operation: str, geometry: Geometry, channels: int) -> bool:
    """Whether XLA's convolution is the faster one."""
    window, places = math.prod(geometry.kernel), math.prod(geometry.out)
    if window == 1 or places == 1:  # a plain product
        return False
    if operation == "forward":
        return window * channels > _DEEP
    if operation == "to_input":  # it multiplies at each pixel, not at each place
        return channels >= _DEEP and math.prod(geometry.size) < 1.25 * places
    return False  # it transposes the images, and gathers windows of the size of the result
