"""Digits as solid bodies in volumes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Shaped

from attn_jax.data.digits import check_canvas, from_levels
from attn_jax.data.distortions import places, rotations
from attn_jax.data.fixed_point import (
    ENTRY,
    PIXEL,
    STEPS,
    divided,
    levels_of,
    pixel_axis,
    sample_levels,
)
from attn_jax.types import Key

_PLANES = ((0, 1), (1, 2), (2, 0))  # the axes that turn: about z, x and y
_LARGEST = 512  # a side whose places can be counted


def extruded(
    key: Key,
    digit: Shaped[Array, "h w C"],
    *,
    size: int = 60,
    angle: float = 45.0,
    depth: int = 8,
) -> Float[Array, "{size} {size} {size} C"]:
    """Extrude a digit along depth, rotate it in space, and put it at a random place of a volume.

    A voxel is the digit's pixel, sampled bilinearly, times what part of it lies within the depth,
    each rounded to a level. The place is uniform over those where the body, before it is rotated,
    lies inside the volume. The data of Jaderberg et al. (2015), appendix A.3, have 60 voxels a
    side; depth and angles are assumed.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: planes, rows and columns of the volume.
      angle: the largest about each axis, in degrees; uniform. Turns are about the axes of the
        volume: first about depth, then about x and y.
      depth: voxels that the digit is thick.

    Returns:
      The volume, depth first.

    Raises:
      ValueError: if the volume is smaller than the digit or its depth or larger than 512, the depth
        below 1, or the angle not in 0 to 180.
    """
    check_canvas(digit, size)
    if not 1 <= depth <= size:
        raise ValueError(f"depth must be 1 to {size} voxels; got {depth}")
    if size > _LARGEST:
        raise ValueError(f"size must be at most {_LARGEST} voxels a side; got {size}")
    draws = jax.random.randint(key, (6,), 0, STEPS)
    room = jnp.array([(size - side) * PIXEL for side in (*digit.shape[1::-1], depth)])
    axis = pixel_axis(size)
    away = [
        axis.reshape(np.roll((size, 1, 1), 2 - n)) - at
        for n, at in enumerate(places(room, draws[3:]))
    ]
    x, y, z = (
        divided(sum(entry * along for entry, along in zip(row, away, strict=True)), ENTRY)
        for row in _rotation(rotations(angle)[draws[:3]])
    )
    inside = jnp.clip((depth + 1) * PIXEL // 2 - jnp.abs(z), 0, PIXEL).astype(jnp.float32)
    pixels = sample_levels(levels_of(digit), x, y)
    return from_levels(jnp.rint(pixels * (inside[..., None] / PIXEL)))


def _rotation(turns: Int[Array, "3 2 2"]) -> Int[Array, "3 3"]:
    """Combine three rotations, each of two axes, in 1/ENTRY."""
    combined = jnp.eye(3, dtype=jnp.int32) * ENTRY
    for turn, plane in zip(turns, _PLANES, strict=True):
        one = (jnp.eye(3, dtype=jnp.int32) * ENTRY).at[np.ix_(plane, plane)].set(turn)
        # Written out: a product of whole numbers is no matrix product on every device.
        combined = divided((combined[:, :, None] * one[None]).sum(1), ENTRY)
    return combined
