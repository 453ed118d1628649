"""Distorted digits: rotated, scaled, seen at an angle, bent; pure functions of a key, for one.

They make the data of Jaderberg et al. (2015), section 4.1 and appendix A.4. A digit is read once,
bilinearly, with black around it, and each pixel is rounded to one of the levels 0/255 to 255/255.
Angles, scales and normal numbers are drawn from 4,096 values each, in equal steps of the range or
of the probability; see `fixed_point`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, Shaped

from attn_jax.data.digits import check_canvas, from_levels
from attn_jax.data.fixed_point import (
    ENTRY,
    PIXEL,
    STEPS,
    bits_below,
    divided,
    levels_of,
    normal_steps,
    pixel_axis,
    sample_levels,
    uniform_steps,
    whole,
)
from attn_jax.data.homographies import projective_places
from attn_jax.ops import control_grid, thin_plate_spline_grid
from attn_jax.types import Key

Range = tuple[float, float]


def rotated(
    key: Key, digit: Shaped[Array, "h w C"], *, size: int | None = None, angle: float = 90.0
) -> Float[Array, "H W C"]:
    """Rotate a digit about the middle of its canvas: "R" of the paper.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas; the digit's longer side by default. A corner that
        turns out of it is cut off.
      angle: the largest, in degrees; angles are uniform over -angle to angle. With 180 all
        directions are alike, as in the rotated MNIST of Larochelle et al. (2007).

    Raises:
      ValueError: if the canvas is smaller than the digit, or the angle not in 0 to 180.
    """
    size = max(digit.shape[:2]) if size is None else size
    check_canvas(digit, size)
    turned = jax.random.randint(key, (), 0, STEPS)
    middle = jnp.zeros(2, jnp.int32)
    return from_levels(_turned(levels_of(digit), rotations(angle)[turned], middle, size))


def rotated_scaled_translated(
    key: Key,
    digit: Shaped[Array, "h w C"],
    *,
    size: int = 42,
    angle: float = 45.0,
    scale: Range = (0.7, 1.2),
) -> Float[Array, "{size} {size} C"]:
    """Rotate and scale a digit, and put it at a random place of a black canvas: "RTS".

    The place is uniform over those where the scaled image, before it is rotated, lies inside the
    canvas. Corners of a rotated image may be cut off; the ink of MNIST hardly reaches them.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas.
      angle: the largest, in degrees; angles are uniform over -angle to angle.
      scale: the smallest and the largest; uniform. 1.2 makes the digit larger.

    Raises:
      ValueError: if the canvas is smaller than the largest digit, the angle not in 0 to 180, or
        the scale not two numbers above 0 in order.
    """
    draws = jax.random.randint(key, (4,), 0, STEPS)
    return from_levels(similar_levels(draws, digit, size, angle, scale))


def projected(
    key: Key,
    digit: Shaped[Array, "h w C"],
    *,
    size: int | None = None,
    scale: Range = (0.75, 1.0),
    sigma: float = 5.0,
) -> Float[Array, "H W C"]:
    """Scale a digit and show it at an angle, each corner moved by a normal number: "P".

    The canvas's corners show what lay at the moved corners of the scaled image. The paper does
    not say whether the picture or what it shows is moved.

    Nor does it say what becomes of corners that fold, so that no angle shows them (of 28 pixels
    about 1 in 300): here what lies beyond the line at infinity, seen from the canvas's middle, is
    black.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas; the digit's longer side by default.
      scale: the smallest and the largest; uniform. 0.75 makes the digit smaller.
      sigma: standard deviation of the moves along x and along y, in pixels of the canvas.

    Raises:
      ValueError: if the canvas is smaller than the digit, the scale not two numbers above 0 in
        order, sigma negative, or both too large to compute with.
    """
    size = max(digit.shape[:2]) if size is None else size
    check_canvas(digit, size)
    scales, normal = scale_steps(scale, size), _normal(sigma)
    draws = jax.random.randint(key, (9,), 0, STEPS)
    enlarged = jnp.asarray(1 / scales, jnp.float32)[draws[0]]
    x, y = projective_places(draws[1:].reshape(4, 2), enlarged, normal, size)
    return from_levels(sample_levels(levels_of(digit), x, y))


def bent(
    key: Key,
    digit: Shaped[Array, "h w C"],
    *,
    size: int | None = None,
    scale: Range = (0.75, 1.0),
    sigma: float = 1.5,
) -> Float[Array, "H W C"]:
    """Scale a digit and bend it by a thin-plate spline through 4 x 4 moved points: "E", elastic.

    The points lie regularly from edge to edge of the canvas. Each shows what lay in the scaled
    image at a distance from it that is a normal number along x and along y.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas; the digit's longer side by default.
      scale: the smallest and the largest; uniform. 0.75 makes the digit smaller.
      sigma: standard deviation of the moves, in pixels of the canvas.

    Raises:
      ValueError: if the canvas is smaller than the digit, the scale not two numbers above 0 in
        order, or sigma negative or too large to compute with.
    """
    size = max(digit.shape[:2]) if size is None else size
    check_canvas(digit, size)
    inverse, moves = inverse_scales(scale_steps(scale, size)), whole(_normal(sigma), PIXEL)
    draws = jax.random.randint(key, (1 + 2 * len(_CONTROL),), 0, STEPS)
    spline = _spline(size)
    # A spline is linear in its points, and takes those that are not moved to themselves.
    bits = min(16, bits_below(2**23, np.abs(spline).sum(-1).max() * np.abs(moves).max()))
    if bits < 8:
        raise ValueError(f"sigma must be small enough to compute with; got {sigma}")
    spline = jnp.asarray(whole(spline, 2**bits), jnp.float32)
    moved = jnp.asarray(moves, jnp.float32)[draws[1:].reshape(-1, 2)]
    moved = jnp.tensordot(spline, moved, 1, precision=jax.lax.Precision.HIGHEST)
    moved = divided(moved.astype(jnp.int32), 2**bits)
    axis = pixel_axis(size)
    x, y = (
        divided((at + moved[..., i]) * inverse[draws[0]], ENTRY)
        for i, at in enumerate((axis[None, :], axis[:, None]))
    )
    return from_levels(sample_levels(levels_of(digit), x, y))


def similar_levels(
    draws: Int[Array, "4"], digit: Shaped[Array, "h w C"], size: int, angle: float, scale: Range
) -> Float[Array, "{size} {size} C"]:
    """Rotate, scale and place a digit.

    Args:
      draws: below STEPS; of the angle, the scale, and the place along x and y.
      digit, size, angle, scale: of `rotated_scaled_translated`.

    Returns:
      Levels, whole numbers from 0 to 255.

    Raises:
      ValueError: as `rotated_scaled_translated` does.
    """
    scales = scale_steps(scale, size)
    check_canvas(digit, size, scale[1])
    turned, grown = draws[0], draws[1]
    matrix = divided(rotations(angle)[turned] * inverse_scales(scales)[grown], ENTRY)
    room = jnp.asarray(rooms(digit, scales, size))[grown]
    return _turned(levels_of(digit), matrix, places(room, draws[2:]), size)


def rooms(digit: Array, scales: np.ndarray, size: int) -> Int[np.ndarray, "STEPS 2"]:
    """How far a scaled digit can move inside the canvas along x and y, in 1/PIXEL pixel."""
    return size * PIXEL - whole(np.outer(scales, digit.shape[1::-1]), PIXEL)


def places(room: Int[Array, "n"], draws: Int[Array, "n"]) -> Int[Array, "n"]:
    """Draw a place from the middle, uniform over -room / 2 to room / 2."""
    return divided(room * (2 * draws + 1 - STEPS), 2 * STEPS)


def rotations(angle: float) -> Int[Array, "STEPS 2 2"]:
    """Matrices of rotations from the canvas to the digit, in 1/ENTRY; x turns towards y.

    Raises:
      ValueError: if the largest angle is not in 0 to 180 degrees.
    """
    if not 0 <= angle <= 180:
        raise ValueError(f"angle must be 0 to 180 degrees; got {angle}")
    turned = np.deg2rad(uniform_steps(-angle, angle))
    c, s = np.cos(turned), np.sin(turned)
    return jnp.asarray(whole(np.stack([c, s, -s, c], -1), ENTRY).reshape(-1, 2, 2))


def scale_steps(scale: Range, size: int) -> Float[np.ndarray, "STEPS"]:
    """The scales of a range from which one is drawn.

    Raises:
      ValueError: if it is not two numbers above 0 in order, or so small that the places that a
        canvas reads cannot be counted.
    """
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale must be (smallest, largest), above 0; got {scale}")
    if size > 1024 * scale[0]:
        raise ValueError(f"scale must be at least {size / 1024:g} on a {size} canvas; got {scale}")
    return uniform_steps(*scale)


def inverse_scales(scales: np.ndarray) -> Int[Array, "STEPS"]:
    """Scales from the canvas to the digit, in 1/ENTRY."""
    return jnp.asarray(whole(1 / scales, ENTRY))


def _turned(levels: Array, matrix: Array, place: Array, size: int) -> Array:
    """Sample where a matrix takes the canvas from a place."""
    axis = pixel_axis(size)
    dx, dy = axis[None, :] - place[0], axis[:, None] - place[1]
    x, y = (divided(row[0] * dx + row[1] * dy, ENTRY) for row in matrix)
    return sample_levels(levels, x, y)


def _normal(sigma: float) -> Float[np.ndarray, "STEPS"]:
    if sigma < 0:
        raise ValueError(f"sigma must be at least 0 pixels; got {sigma}")
    return normal_steps(sigma)


_CONTROL = control_grid(4)


@functools.cache
def _spline(size: int) -> Float[np.ndarray, "size size K"]:
    """The weight of each control point at each pixel of a canvas."""
    with jax.ensure_compile_time_eval():
        ones = jnp.eye(len(_CONTROL))[..., None].repeat(2, -1)
        grid = functools.partial(thin_plate_spline_grid, size=(size, size), control=_CONTROL)
        return np.moveaxis(np.asarray(jax.vmap(grid)(ones)[..., 0], np.float64), 0, -1)
