"""The largest value of each window of an image, with a gradient that is fast on a CPU."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from attn_jax.ops.convolution.geometry import Pair, make_pair


def max_pool(
    x: ArrayLike, window: int | Sequence[int], strides: int | Sequence[int] | None = None
) -> Array:
    """The largest value of each window, a channel at a time; what does not fill one is cut.

    Where values tie, they share the gradient in equal parts, which sum to the cotangent.

    Args:
      x: [..., H, W, C].
      window: its (rows, columns), or one number for both.
      strides: from a window to the next; the window's own size by default.

    Returns:
      [..., h, w, C], with h = (H - rows) // stride + 1.

    Raises:
      ValueError: for a window or strides that are no whole numbers from 1, or do not fit.

    >>> max_pool(jnp.arange(8.0).reshape(1, 2, 4, 1), 2)[0, 0, :, 0]
    Array([5., 7.], dtype=float32)
    """
    x = jnp.asarray(x)
    if x.ndim < 3:
        raise ValueError(f"x must be [..., H, W, C]; got {list(x.shape)}")
    sides = make_pair("window", window)
    steps = sides if strides is None else make_pair("strides", strides)
    size = x.shape[-3], x.shape[-2]
    if sides[0] > size[0] or sides[1] > size[1]:
        raise ValueError(f"window {list(sides)} must fit into the images {list(size)}; it does not")
    return _of_tiles(x, sides) if steps == sides else _of_slices(x, sides, steps)


def _of_tiles(x: Array, window: Pair) -> Array:
    """Windows side by side: each is an axis of a reshaped image."""
    (p, q), (*batch, height, width, channels) = window, x.shape
    h, w = height // p, width // q
    tiles = x[..., : h * p, : w * q, :].reshape(*batch, h, p, w, q, channels)
    return tiles.max((-4, -2))


def _of_slices(x: Array, window: Pair, strides: Pair) -> Array:
    """Windows that overlap, or leave gaps: a slice of the image for each of their places."""
    (p, q), (down, across), (height, width) = window, strides, x.shape[-3:-1]
    bottom, right = height - p + 1, width - q + 1
    slices = [
        x[..., i : i + bottom : down, j : j + right : across, :] for i in range(p) for j in range(q)
    ]
    return jnp.stack(slices).max(0)
