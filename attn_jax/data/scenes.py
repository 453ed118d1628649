"""Digits among clutter: one that is transformed, one that is to be found, three to be read."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Shaped

from attn_jax.data.clutter import add_patch, add_pieces, check_pieces, rooms
from attn_jax.data.digits import check_canvas, from_levels, paste
from attn_jax.data.distortions import Range, similar_levels
from attn_jax.data.fixed_point import STEPS, levels_of
from attn_jax.types import Key

_READ = 3  # digits of a sequence


def rotated_scaled_cluttered(
    key: Key,
    digit: Shaped[Array, "h w C"],
    others: Shaped[Array, "N h w C"],
    *,
    size: int = 96,
    angle: float = 180.0,
    scale: Range = (1.0, 2.4),
    pieces: int = 8,
    piece: int = 8,
) -> Float[Array, "{size} {size} C"]:
    """Rotate and scale a digit, and put it anywhere among pieces cut from other digits.

    It is like SIM2MNIST of Esteves et al. (2018), Polar Transformer Networks, whose canvas is of 96
    pixels. The ranges are assumed, and so are number and size of the pieces: those that Mnih et al.
    (2014) have on 100 pixels.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      others: the images that pieces are cut from, of the digit's dtype.
      size, angle, scale: of `rotated_scaled_translated`.
      pieces, piece: of `cluttered`.

    Raises:
      ValueError: as `rotated_scaled_translated` and `cluttered` do.
    """
    check_pieces(digit, others, pieces, piece)
    at, clutter = jax.random.split(key)
    draws = jax.random.randint(at, (4,), 0, STEPS)
    canvas = similar_levels(draws, digit, size, angle, scale)
    return from_levels(add_pieces(clutter, canvas, others, pieces, piece))


def colocalised(
    key: Key,
    digit: Shaped[Array, "h w C"],
    others: Shaped[Array, "N h w C"],
    *,
    size: int = 84,
    pieces: int = 16,
    piece: int = 6,
) -> Float[Array, "{size} {size} C"]:
    """Put a digit anywhere among pieces cut from other digits; `colocalised_box` says where.

    It is `cluttered` with the numbers of Jaderberg et al. (2015), appendix A.1, where images of one
    class are given and what they have in common is to be found.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      others: the images that pieces are cut from, of the digit's dtype.
      size, pieces, piece: of `cluttered`.

    Raises:
      ValueError: as `cluttered` does.
    """
    check_canvas(digit, size)
    check_pieces(digit, others, pieces, piece)
    at, clutter = jax.random.split(key)
    canvas = paste(levels_of(digit), _place(at, digit.shape[:2], size), size)
    return from_levels(add_pieces(clutter, canvas, others, pieces, piece))


def colocalised_box(key: Key, digit_size: tuple[int, int], *, size: int = 84) -> Float[Array, "4"]:
    """Find the outer edges of the digit's image in what `colocalised` makes of the same key.

    Args:
      key: of `colocalised`.
      digit_size: h and w of the digit.
      size: of `colocalised`.

    Returns:
      (x of the left edge, y of the upper, x of the right, y of the lower), in [-1, 1].

    >>> box = colocalised_box(jax.random.key(0), (28, 28))
    >>> [round(42 * float(side)) for side in box[2:] - box[:2]]  # in pixels
    [28, 28]
    """
    h, w = digit_size
    row, column = _place(jax.random.split(key)[0], digit_size, size)
    return jnp.stack([column, row, column + w, row + h]) * (2 / size) - 1


def _place(key: Key, inner: tuple[int, ...], size: int) -> Int[Array, "2"]:
    """Draw a row and a column where the inner image lies inside the canvas."""
    return jax.random.randint(key, (2,), 0, jnp.array(rooms(size, inner)))


def sequence(
    key: Key,
    digit: Shaped[Array, "h w C"],
    others: Shaped[Array, "N h w C"],
    *,
    size: int = 100,
    pieces: int = 8,
    piece: int = 9,
) -> Float[Array, "{size} {size} C"]:
    """Put three digits side by side, rising or falling, among pieces cut from other digits.

    The first digit is the given one; the others are uniform over all images. The column of the
    first is uniform, and its row; each digit starts lower than the last one by a number of rows
    that is uniform over -h/2 to h/2, and not beyond the canvas. Labels are read from left to right:
    `labels_of_sequence`.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      others: the images of the other digits, and that pieces are cut from; of the digit's dtype.
      size: rows and columns of the canvas, at least 3 w.
      pieces, piece: of `cluttered`.

    Raises:
      ValueError: if the canvas is smaller than the digit or narrower than three; as `cluttered`
        does.

    Reference: Sonderby et al. 2015, Recurrent Spatial Transformer Networks, and its code.
    """
    check_canvas(digit, size)
    check_pieces(digit, others, pieces, piece)
    h, w = digit.shape[:2]
    if size < _READ * w:
        raise ValueError(f"size must be at least {_READ} times the digit's {w} columns; got {size}")
    _, at, clutter = jax.random.split(key, 3)
    below = jnp.array([*rooms(size, (h, _READ * w)), 2 * (h // 2) + 1])
    row, column, slope = jax.random.randint(at, (3,), 0, below)
    canvas = jnp.zeros((size, size, digit.shape[-1]))
    for n, one in enumerate([digit, *others[_more(key, len(others))]]):
        start = jnp.clip(row + n * (slope - h // 2), 0, size - h)
        canvas = add_patch(canvas, levels_of(one), (start, column + n * w, 0))
    return from_levels(add_pieces(clutter, canvas, others, pieces, piece))


def labels_of_sequence(key: Key, labels: Int[Array, "N"], i: Int[Array, ""]) -> Int[Array, "3"]:
    """Label the three digits that `sequence` composes with this key of image i."""
    return jnp.concatenate([labels[i][None], labels[_more(key, len(labels))]])


def _more(key: Key, count: int) -> Int[Array, "2"]:
    return jax.random.randint(jax.random.split(key, 3)[0], (_READ - 1,), 0, count)
