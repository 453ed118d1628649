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


def from_uint8(images: UInt8[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
    """Levels 0 to 255 as float32 in [0, 1].

    >>> from_uint8(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    return jnp.asarray(images).astype(jnp.float32) / 255


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


def _add(canvas: Array, patch: Array, offset: Array) -> Array:
    # Touches only the window: 256 images with 4 pieces each cost 0.8 ms in all,
    # 3.5 ms with a canvas a piece made by one-hot matrices.
    place = (offset[0], offset[1], 0)
    under = lax.dynamic_slice(canvas, place, patch.shape)
    return lax.dynamic_update_slice(canvas, under + patch, place)


def _places(
    key: Key, outer: tuple[int, ...], inner: tuple[int, ...], count: tuple[int, ...] = ()
) -> Array:
    """Uniform (row, column) pairs at which `inner` lies inside `outer`."""
    room = jnp.array([outer[0] - inner[0] + 1, outer[1] - inner[1] + 1])
    shape = (*count, 2)
    return jax.random.randint(key, shape, 0, jnp.broadcast_to(room, shape))


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
    return paste(_unit(digit), _places(key, (size, size), digit.shape), size)


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
    digit_key, which_key, cut_key, put_key = jax.random.split(key, 4)
    which = jax.random.randint(which_key, (pieces,), 0, others.shape[0])
    cut = _places(cut_key, others.shape[1:3], (piece, piece), (pieces,))
    put = _places(put_key, (size, size), (piece, piece), (pieces,))
    # Levels are added as whole numbers: exact in any order, with jit and without.
    canvas = digit.astype(jnp.float32)
    canvas = paste(canvas, _places(digit_key, (size, size), digit.shape), size)
    for i in range(pieces):
        start = (which[i], cut[i, 0], cut[i, 1], 0)
        crop = lax.dynamic_slice(others, start, (1, piece, piece, others.shape[3]))[0]
        canvas = _add(canvas, crop.astype(jnp.float32), put[i])
    white = 255 if digit.dtype == jnp.uint8 else 1
    return jnp.minimum(canvas, white) / white
