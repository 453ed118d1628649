"""Images composed of digits: pure functions of a key, for one example.

`centered`, `translated` and `cluttered` make the data of Mnih et al. (2014), section 4.1. They
take pixels as uint8 levels or as floats in [0, 1], and return floats in [0, 1]. Digits move by
whole pixels and sums are clipped at 1, so a composed pixel is still one of the levels 0/255 to
255/255: `compose_split` stores a test set as uint8, in a quarter of the memory, without loss.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, Shaped, UInt8

from attn_jax.data.clutter import add_drawn, check_pieces, piece_rooms, rooms
from attn_jax.types import Key

# Multiplied with, not divided by 255: under jit XLA may turn a division into this product, which
# differs from the division in the last bit.
_LEVEL = np.float32(1 / 255)


def from_uint8(images: UInt8[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
    """Convert levels 0 to 255 to float32 in [0, 1].

    >>> from_uint8(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    return jnp.asarray(images).astype(jnp.float32) * _LEVEL


def from_levels(levels: Float[Array, "..."]) -> Float[Array, "..."]:
    """Convert whole numbers in float32 to [0, 1] as `from_uint8` does; what is above 255 gives 1.

    >>> from_levels(jnp.array([0.0, 255.0, 300.0])).tolist()
    [0.0, 1.0, 1.0]
    """
    return jnp.minimum(levels * _LEVEL, 1)


def _unit(pixels: Array) -> Array:
    """Convert uint8 levels, or floats in [0, 1], to float32 in [0, 1]."""
    return from_uint8(pixels) if pixels.dtype == jnp.uint8 else pixels.astype(jnp.float32)


def paste(
    patch: Float[Array, "h w C"], offset: Int[Array, "2"], size: int
) -> Float[Array, "{size} {size} C"]:
    """Put a patch on a canvas of zeros; the part outside the canvas is cut off.

    Args:
      patch: the pixels to place.
      offset: (row, column) of the patch's first pixel, -h to size and -w to size.
      size: rows and columns of the canvas.

    Returns:
      The canvas. Pixels are copied, so they keep every bit.

    >>> paste(jnp.ones((2, 2, 1)), jnp.array([1, -1]), 3)[..., 0].tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    # A window of the padded patch is the fastest way: on two CPU cores 256 canvases of 60 x 60
    # take 0.14 ms; 0.4 ms with dynamic_update_slice (a scatter under vmap), and 1.4 ms with
    # one-hot matrices.
    padded = jnp.pad(patch, ((size, size), (size, size), (0, 0)))
    return lax.dynamic_slice(
        padded, (size - offset[0], size - offset[1], 0), (size, size, patch.shape[2])
    )


def check_canvas(digit: Array, size: int, scale: float = 1) -> None:
    """Refuse a digit that is not [h, w, C] or that is larger than the canvas.

    Args:
      digit: the image.
      size: rows and columns of the canvas.
      scale: what the digit is enlarged by.

    Raises:
      ValueError: naming what does not fit.
    """
    if digit.ndim != 3:
        raise ValueError(f"digit must be [h, w, C]; got shape {digit.shape}")
    if size < scale * max(digit.shape[:2]):
        times = "" if scale == 1 else f" times {scale:g}"
        raise ValueError(
            f"size must be at least the digit's {digit.shape[0]} x {digit.shape[1]} pixels{times}; "
            f"got {size}"
        )


def centered(
    key: Key, digit: Shaped[Array, "h w C"], *, size: int | None = None, shift: int = 0
) -> Float[Array, "H W C"]:
    """Put a digit at the middle of a black canvas, or up to `shift` pixels away from it.

    Args:
      key: of this example; not used where shift is 0.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas; the digit's longer side by default.
      shift: the largest move along each axis, in pixels. Moves are uniform over -shift to shift;
        shift is at most (size - 1) // 2, so that the digit's middle stays inside. The part
        outside the canvas is cut off.

    Raises:
      ValueError: if the canvas is smaller than the digit, or the shift is out of range.
    """
    size = max(digit.shape[:2]) if size is None else size
    check_canvas(digit, size)
    if not 0 <= shift <= (size - 1) // 2:
        raise ValueError(f"shift must be 0 to {(size - 1) // 2} on a {size} canvas; got {shift}")
    offset = jnp.array([(size - side) // 2 for side in digit.shape[:2]])
    if shift:
        offset = offset + jax.random.randint(key, (2,), -shift, shift + 1)
    return paste(_unit(digit), offset, size)


def translated(
    key: Key, digit: Shaped[Array, "h w C"], *, size: int = 60
) -> Float[Array, "{size} {size} C"]:
    """Put a digit at a random place of a black canvas, uniform over those that hold all of it.

    Places are whole pixels.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      size: rows and columns of the canvas.

    Raises:
      ValueError: if the canvas is smaller than the digit.
    """
    check_canvas(digit, size)
    place = jax.random.randint(key, (2,), 0, jnp.array(rooms(size, digit.shape)))
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
    """Put a translated digit among pieces cut from other digits.

    canvas = min(1, digit + sum_p piece_p)

    The paper does not say how digit and clutter are combined. Adding and clipping keeps all of
    the clutter; pasting the digit's block over it would erase some.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      others: the images that pieces are cut from, of the digit's dtype; the image of each piece
        is drawn with replacement.
      size: rows and columns of the canvas.
      pieces: their number; the paper has 4 at size 60 and 8 at size 100.
      piece: rows and columns of a piece. Where it is cut from its image, and where it is put on
        the canvas, are uniform.

    Raises:
      ValueError: if the canvas is smaller than the digit, a piece larger than an image, pieces
        negative, or the dtypes differ.
    """
    check_canvas(digit, size)
    check_pieces(digit, others, pieces, piece)
    # One draw holds all random numbers: the digit's row and column; then of each piece its
    # image, its row and column there, and its row and column on the canvas.
    a_piece = piece_rooms(others, piece, size)
    below = jnp.array(rooms(size, digit.shape) + pieces * a_piece)
    draws = jax.random.randint(key, below.shape, 0, below)
    # Levels are added as whole numbers, so the sum is exact in any order, with and without jit.
    canvas = paste(digit.astype(jnp.float32), draws[:2], size)
    canvas = add_drawn(canvas, draws[2:].reshape(pieces, 5), others, piece)
    if digit.dtype == jnp.uint8:
        canvas = canvas * _LEVEL
    return jnp.minimum(canvas, 1)
