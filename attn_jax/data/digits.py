"""Canvases made from digits: pure functions of a key, for one example.

`centered`, `translated` and `cluttered` are the data of Mnih et al. (2014), section 4.1.
They take pixels as uint8 levels or as floats in [0, 1], and give floats in [0, 1]. Digits
move by whole pixels and sums are clipped, so a level stays a level: a composed image is
exact in uint8 too, which is what lets `frozen` keep a test set in a quarter of the memory.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, Shaped, UInt8

from attn_jax.types import Key

# A product is the same with jit and without; XLA may turn a division into one, a last bit off.
_LEVEL = np.float32(1 / 255)


def from_uint8(images: UInt8[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
    """Levels 0 to 255 as float32 in [0, 1].

    >>> from_uint8(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    return jnp.asarray(images).astype(jnp.float32) * _LEVEL


def _unit(pixels: Array) -> Array:
    return from_uint8(pixels) if pixels.dtype == jnp.uint8 else pixels.astype(jnp.float32)


def paste(
    patch: Float[Array, "h w C"], offset: Int[Array, "2"], size: int
) -> Float[Array, "{size} {size} C"]:
    """A patch on a canvas of zeros, its first pixel at `offset`; what sticks out is cut off.

    Args:
      patch: what is placed.
      offset: (row, column) of its first pixel, -h to size and -w to size.
      size: rows and columns of the canvas.

    Returns:
      The canvas. Pixels are copied, never computed with: they are bit-identical.

    >>> paste(jnp.ones((2, 2, 1)), jnp.array([1, -1]), 3)[..., 0].tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    # One window of a padded patch. On two CPU cores 256 canvases of 60 x 60 take 0.14 ms;
    # 0.4 ms with dynamic_update_slice (a scatter under vmap), 1.4 ms with one-hot matrices.
    padded = jnp.pad(patch, ((size, size), (size, size), (0, 0)))
    return lax.dynamic_slice(
        padded, (size - offset[0], size - offset[1], 0), (size, size, patch.shape[2])
    )


def _add(canvas: Array, patch: Array, place: tuple) -> Array:
    # Touches only the window: 256 images with 4 pieces each cost 0.8 ms in all,
    # 3.5 ms with a canvas a piece made by one-hot matrices.
    under = lax.dynamic_slice(canvas, place, patch.shape)
    return lax.dynamic_update_slice(canvas, under + patch, place)


def _room(outer: int, inner: tuple[int, ...]) -> list[int]:
    """How many rows and columns `inner` may start at and lie inside `outer`."""
    return [outer - inner[0] + 1, outer - inner[1] + 1]


def _check_canvas(digit: Array, size: int) -> None:
    if digit.ndim != 3:
        raise ValueError(f"digit must be [h, w, C]; got shape {digit.shape}")
    if size < max(digit.shape[:2]):
        raise ValueError(
            f"size must be at least the digit's {digit.shape[0]} x {digit.shape[1]} pixels; "
            f"got {size}"
        )


def centered(
    key: Key, digit: Shaped[Array, "h w C"], *, size: int | None = None, shift: int = 0
) -> Float[Array, "H W C"]:
    """A digit at the middle of a black canvas, or up to `shift` pixels away from it.

    Args:
      key: of this example; unused where shift is 0.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas; the digit's longer side by default.
      shift: the largest move along each axis, in pixels, uniform over -shift to shift;
        at most (size - 1) // 2, so that the digit's middle stays inside. What leaves the
        canvas is cut off.

    Raises:
      ValueError: if the canvas is smaller than the digit, or the shift is out of range.
    """
    size = max(digit.shape[:2]) if size is None else size
    _check_canvas(digit, size)
    if not 0 <= shift <= (size - 1) // 2:
        raise ValueError(f"shift must be 0 to {(size - 1) // 2} on a {size} canvas; got {shift}")
    offset = jnp.array([(size - side) // 2 for side in digit.shape[:2]])
    if shift:
        offset = offset + jax.random.randint(key, (2,), -shift, shift + 1)
    return paste(_unit(digit), offset, size)


def translated(
    key: Key, digit: Shaped[Array, "h w C"], *, size: int = 60
) -> Float[Array, "{size} {size} C"]:
    """A digit at a uniform whole-pixel place of a black canvas, all of it inside.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas.

    Raises:
      ValueError: if the canvas is smaller than the digit.
    """
    _check_canvas(digit, size)
    place = jax.random.randint(key, (2,), 0, jnp.array(_room(size, digit.shape)))
    return paste(_unit(digit), place, size)


def cluttered(
    key: Key,
    digit: Shaped[Array, "h w C"],
    others: Shaped[Array, "N h w C"],
    *,
    size: int = 60,
    pieces: int = 4,
    piece: int = 8,
) -> Float[Array, "{size} {size} C"]:
    """A translated digit among pieces of other digits, added and clipped at 1.

    canvas = min(1, digit + sum_p piece_p)

    The paper does not say how digit and clutter are combined. Adding and clipping hides
    none of the clutter; pasting the digit's block over it would erase some.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      others: the images that pieces are cut from, of the digit's dtype; each piece from one
        drawn with replacement.
      size: rows and columns of the canvas.
      pieces: how many; the paper has 4 at size 60 and 8 at size 100.
      piece: rows and columns of a piece, cut at a uniform place and put at one.

    Raises:
      ValueError: if the canvas is smaller than the digit, a piece larger than an image, pieces
        negative, or the dtypes differ.
    """
    _check_canvas(digit, size)
    if digit.dtype != others.dtype:
        raise ValueError(f"others must be {digit.dtype}, as the digit is; got {others.dtype}")
    if pieces < 0:
        raise ValueError(f"pieces must be at least 0; got {pieces}")
    if not 1 <= piece <= min(others.shape[1:3]):
        raise ValueError(f"piece must be 1 to {min(others.shape[1:3])} pixels; got {piece}")
    _, h, w, channels = others.shape
    # One draw for everything: where the digit goes; which image, where from and where to.
    a_piece = [others.shape[0], h - piece + 1, w - piece + 1, *_room(size, (piece, piece))]
    below = jnp.array(_room(size, digit.shape) + pieces * a_piece)
    draws = jax.random.randint(key, below.shape, 0, below)
    # Levels are added as whole numbers: exact in any order, with jit and without.
    canvas = paste(digit.astype(jnp.float32), draws[:2], size)
    for which, row, column, *place in draws[2:].reshape(pieces, 5):
        start = (which, row, column, 0)
        crop = lax.dynamic_slice(others, start, (1, piece, piece, channels))[0]
        canvas = _add(canvas, crop.astype(jnp.float32), (*place, 0))
    if digit.dtype == jnp.uint8:
        canvas = canvas * _LEVEL
    return jnp.minimum(canvas, 1)
