"""Boundaries of an image: places are moved to within reach of it, and the image is padded."""

from collections.abc import Mapping
from math import ceil, floor
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.ops.grids import to_pixels
from attn_jax.ops.kernels import Kernel

# padding -> the mode of NumPy's pad; that of reflection depends on align_corners.
PADDINGS: Mapping[str, str | None] = {
    "zeros": "constant",
    "border": "edge",
    "reflection": None,
    "wrap": "wrap",
    "constant": "constant",
}
# A coordinate from which no kernel reaches the image, however few pixels that has.
_FAR = 16.0
_REFLECTION = {False: "symmetric", True: "reflect"}


class Boundary(NamedTuple):
    """How places outside an image are read.

    Attributes:
      padding: a name of `PADDINGS`.
      kernel: whose taps reach outside.
      align_corners: whether reflection is about the border pixels' centres or their outer edges.
    """

    padding: str
    kernel: Kernel
    align_corners: bool

    def bounds(self, size: int) -> tuple[float, float]:
        """The least and the greatest place, in pixels, that `bounded_place` gives."""
        inside = (0.0, size - 1.0)
        if self.padding == "wrap":
            return 0.0, float(size)
        if self.kernel.taps <= 2 and self.padding in ("border", "reflection"):
            return inside
        if self.padding == "reflection":
            return inside if self.align_corners else (-0.5, size - 0.5)
        # Beyond these no tap is in the image, and a derivative is 0.
        return -self.kernel.half - 1.0, size - 1.0 + max(self.kernel.half, 1)

    def bounded_place(self, coordinate: Array, size: int) -> Array:
        """Convert a coordinate to the place that it reads, in pixels within `bounds`.

        The image spans [-1, 1]. NaN reads as -1. With reflection and wrap, which know no nearest
        border, so does an infinity, also one that is finite before it is in pixels. Derivatives at
        these places are 0.
        """
        low, high = self.bounds(size)
        if self.padding in ("reflection", "wrap"):
            # Infinite and NaN coordinates are replaced before they are computed with.
            limit = float(jnp.finfo(coordinate.dtype).max) / (2 * size)
            known = jnp.where(jnp.abs(coordinate) < limit, coordinate, -1)
            pixel = to_pixels(known, size, self.align_corners)
            return _modulo(pixel, size) if self.padding == "wrap" else self._reflect(pixel, size)
        known = jnp.where(jnp.isnan(coordinate), -1, _held(coordinate, -_FAR, _FAR))
        pixel = _held(to_pixels(known, size, self.align_corners), low, high)
        if size > 1 or not self.align_corners:
            return pixel
        # On an axis of one aligned pixel, infinity times 0 pixels is outside all the same.
        return jnp.where(jnp.isinf(coordinate), jnp.where(coordinate > 0, high, low), pixel)

    def _reflect(self, pixel: Array, size: int) -> Array:
        low = 0.0 if self.align_corners else -0.5
        span = size - 1 if self.align_corners else size
        if span == 0:
            return jnp.zeros_like(pixel)
        beyond = _modulo(jnp.abs(pixel - low), 2 * span)
        return _held(low + jnp.minimum(beyond, 2 * span - beyond), *self.bounds(size))

    def margins(self, size: int) -> tuple[int, int]:
        """How many pixels before and after an axis the taps of bounded places can reach."""
        low, high = self.bounds(size)
        kernel = self.kernel
        if kernel.weights is None:
            return max(0, -round(low)), max(0, ceil(high) - (size - 1))
        return max(0, kernel.half - 1 - floor(low)), max(0, floor(high) + kernel.half - (size - 1))

    def pixel(self, tap: Array, size: int) -> tuple[Array, Array | None]:
        """The pixel of an axis that a tap of a bounded place reads, and a mask of those inside.

        The mask is None where every tap reads a pixel of the image.
        """
        if self._filled:
            return _held(tap, 0, size - 1), (tap >= 0) & (tap < size)
        if self.padding == "border" or (self.padding == "reflection" and self.kernel.taps <= 2):
            return _held(tap, 0, size - 1), None
        before, after = self.margins(size)
        table = np.pad(np.arange(size, dtype=np.int32), (before, after), mode=self._numpy_mode)
        return jnp.asarray(table)[tap + before], None

    def pad(self, image: Array, fill: Array) -> Array:
        """Pad the image by its margins on every axis but the last; linear in image and fill."""
        widths = [*map(self.margins, image.shape[:-1]), (0, 0)]
        padded = jnp.pad(image, widths, mode=self._numpy_mode)
        if self.padding != "constant":
            return padded
        inside = jnp.pad(jnp.ones((*image.shape[:-1], 1), bool), widths)
        return jnp.where(inside, padded, fill)

    @property
    def _filled(self) -> bool:
        return self._numpy_mode == "constant"

    @property
    def _numpy_mode(self) -> str:
        return PADDINGS[self.padding] or _REFLECTION[self.align_corners]


def _held(x: Array, low: float, high: float) -> Array:
    """Hold x at two bounds; the derivative is 0 on the bounds themselves too, as PyTorch's is."""
    return jnp.where(x > low, jnp.where(x < high, x, high), low)


def _modulo(x: Array, period: int) -> Array:
    """x mod period, in [0, period]; 0 where x is too large for its remainder to be known."""
    rest = x - period * jnp.floor(x / period)
    return jnp.where((rest >= 0) & (rest <= period), rest, 0.0)
