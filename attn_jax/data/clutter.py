"""Pieces of images, put anywhere on a canvas."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int, Shaped

from attn_jax.data.fixed_point import levels_of
from attn_jax.types import Key


def rooms(outer: int, inner: tuple[int, ...]) -> list[int]:
    """Count the rows and the columns at which `inner` can start and lie inside `outer`."""
    return [outer - inner[0] + 1, outer - inner[1] + 1]


def piece_rooms(others: Shaped[Array, "N h w C"], piece: int, size: int) -> list[int]:
    """Count what a piece is drawn from: image, row and column there, row and column here.

    Args:
      others: the images that pieces are cut from.
      piece: rows and columns of a piece.
      size: rows and columns of the canvas.
    """
    count, h, w, _ = others.shape
    return [count, h - piece + 1, w - piece + 1, *rooms(size, (piece, piece))]


def check_pieces(digit: Array, others: Array, pieces: int, piece: int) -> None:
    """Refuse pieces that cannot be cut from images, or not be added to the digit.

    Raises:
      ValueError: naming what does not fit.
    """
    if digit.dtype != others.dtype:
        raise ValueError(f"others must be {digit.dtype}, as the digit is; got {others.dtype}")
    if pieces < 0:
        raise ValueError(f"pieces must be at least 0; got {pieces}")
    if not 1 <= piece <= min(others.shape[1:3]):
        raise ValueError(f"piece must be 1 to {min(others.shape[1:3])} pixels; got {piece}")


def add_patch(canvas: Array, patch: Array, place: tuple) -> Array:
    """Add a patch to the window of the canvas that starts at `place`."""
    # 256 images with 4 pieces each take 0.8 ms; 3.5 ms where one-hot matrices make a whole
    # canvas of each piece.
    under = lax.dynamic_slice(canvas, place, patch.shape)
    return lax.dynamic_update_slice(canvas, under + patch, place)


def add_drawn(
    canvas: Float[Array, "H W C"],
    draws: Int[Array, "P 5"],
    others: Shaped[Array, "N h w C"],
    piece: int,
) -> Float[Array, "H W C"]:
    """Add pieces to a canvas, whose sums may be above the largest level.

    Args:
      canvas: pixels, in the unit of those of `others`.
      draws: of each piece, below `piece_rooms`.
      others: the images that pieces are cut from.
      piece: rows and columns of a piece.
    """
    for which, row, column, *place in draws:
        start = (which, row, column, 0)
        crop = lax.dynamic_slice(others, start, (1, piece, piece, others.shape[-1]))[0]
        canvas = add_patch(canvas, crop.astype(canvas.dtype), (*place, 0))
    return canvas


def add_pieces(
    key: Key,
    canvas: Float[Array, "size size C"],
    others: Shaped[Array, "N h w C"],
    pieces: int,
    piece: int,
) -> Float[Array, "size size C"]:
    """Draw pieces of images, each with replacement, and add them to a canvas of levels.

    Args:
      key: of this example's clutter.
      canvas: levels, 0 to 255.
      others: uint8, or float in [0, 1].
      pieces: their number.
      piece: their rows and columns.
    """
    below = jnp.array([piece_rooms(others, piece, canvas.shape[0])])
    draws = jax.random.randint(key, (pieces, 5), 0, below)
    if others.dtype != jnp.uint8:
        others = levels_of(others)
    return add_drawn(canvas, draws, others, piece)
