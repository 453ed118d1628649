"""`grid_sample` again, in float64 NumPy from its definition: what the kernels are held against.

An image is a function on all whole-numbered places, which the padding defines; a place reads it
with the kernel's weights at their distances. Each axis is thus one dense matrix of weights, and
every gradient a product of these. Slow, and independent of the library's code.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def _hat(d: np.ndarray) -> np.ndarray:
    return 1 - _size(d)


def _cubic(d: np.ndarray, a: float = -0.75) -> np.ndarray:
    s = _size(d)
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    return np.where(s.real <= 1, near, a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a)


def _lanczos(d: np.ndarray) -> np.ndarray:
    return np.sinc(d) * np.sinc(d / 3)


def _size(d: np.ndarray) -> np.ndarray:
    """|d|, also of a place moved by an imaginary step."""
    return np.where(d.real < 0, -d, d)


_KERNELS: dict[str, tuple[int, Callable]] = {
    "bilinear": (1, _hat),
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos),
}
_STEP = 1e-30  # imaginary: the derivative is exact to rounding, with no difference taken


class Oracle(NamedTuple):
    """What one image gives at n places.

    Attributes:
      value: [n, C].
      gradients: cotangent [n, C] -> gradients of <cotangent, value> to image, grid and fill [C].
    """

    value: np.ndarray
    gradients: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def oracle(
    image: np.ndarray,
    grid: np.ndarray,
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
    fill: float | np.ndarray = 0.0,
) -> Oracle:
    """Sample image [*size, C] at grid [n, d], both finite, d = 2 or 3.

    Args:
      image, grid, mode, padding, align_corners, fill: as `attn_jax.ops.grid_sample` has them.
    """
    *sizes, channels = image.shape
    image, d = np.asarray(image, np.float64), len(sizes)
    axes = [
        _matrix(np.asarray(grid, np.float64)[:, d - 1 - i], size, mode, padding, align_corners)
        for i, size in enumerate(sizes)
    ]
    weights = [weight for weight, _ in axes]
    fill = np.broadcast_to(np.asarray(fill, np.float64), (channels,))

    def read(matrices: list[np.ndarray], total: float) -> np.ndarray:
        return _product(matrices, image) + missing(matrices, total) * fill

    def missing(matrices: list[np.ndarray], total: float) -> np.ndarray:
        """[n, 1]: the weight that `fill` has, in "constant" alone."""
        weight = total - np.prod([m.sum(1) for m in matrices], 0)
        return weight[:, None] * (padding == "constant")

    def gradients(cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        to_image = _spread(weights, np.asarray(cotangent, np.float64))
        to_grid = np.stack(
            [(cotangent * read(_with_slope(axes, i), 0.0)).sum(1) for i in reversed(range(d))], 1
        )
        return to_image, to_grid, (missing(weights, 1.0) * cotangent).sum(0)

    return Oracle(read(weights, 1.0), gradients)


def _with_slope(axes: list[tuple[np.ndarray, np.ndarray]], which: int) -> list[np.ndarray]:
    return [slope if i == which else weight for i, (weight, slope) in enumerate(axes)]


def _product(matrices: list[np.ndarray], image: np.ndarray) -> np.ndarray:
    if len(matrices) == 2:
        return np.einsum("nh,nw,hwc->nc", *matrices, image, optimize=True)
    return np.einsum("nd,nh,nw,dhwc->nc", *matrices, image, optimize=True)


def _spread(matrices: list[np.ndarray], cotangent: np.ndarray) -> np.ndarray:
    if len(matrices) == 2:
        return np.einsum("nh,nw,nc->hwc", *matrices, cotangent, optimize=True)
    return np.einsum("nd,nh,nw,nc->dhwc", *matrices, cotangent, optimize=True)


def _matrix(
    coordinate: np.ndarray, size: int, mode: str, padding: str, align_corners: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [n, size] of the pixels of one axis, and their derivatives to the coordinate."""
    scale = (size - 1) / 2 if align_corners else size / 2
    place = coordinate * scale + (size - 1) / 2
    weights, slopes = np.zeros((2, len(place), size))
    rows = np.arange(len(place))
    for tap, weight, slope in _taps(place, mode):
        pixel = _pixel(tap, size, padding, align_corners)
        inside = (pixel >= 0) & (pixel < size)
        np.add.at(weights, (rows[inside], pixel[inside]), weight[inside])
        np.add.at(slopes, (rows[inside], pixel[inside]), slope[inside] * scale)
    return weights, slopes


def _taps(place: np.ndarray, mode: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    if mode == "nearest":
        ones = np.ones_like(place)
        return [(np.rint(place).astype(int), ones, 0 * ones)]
    half, kernel = _KERNELS[mode]
    first = np.floor(place).astype(int) - half + 1
    pixels = [first + k for k in range(2 * half)]
    values = [kernel(place - pixel + 1j * _STEP) for pixel in pixels]
    total = sum(values) if mode == "lanczos3" else 1.0
    values = [value / total for value in values]
    return [(p, v.real, v.imag / _STEP) for p, v in zip(pixels, values, strict=True)]


def _pixel(n: np.ndarray, size: int, padding: str, align_corners: bool) -> np.ndarray:
    """Which pixel stands at n; outside [0, size) none does."""
    if padding in ("zeros", "constant"):
        return n
    if padding == "border":
        return np.clip(n, 0, size - 1)
    if padding == "wrap":
        return n % size
    there_and_back = np.arange(size)
    if align_corners:  # 0 1 2 | 1, not 0 1 2 | 2 1 0
        there_and_back = np.concatenate([there_and_back, there_and_back[-2:0:-1]])
    else:
        there_and_back = np.concatenate([there_and_back, there_and_back[::-1]])
    return there_and_back[n % len(there_and_back)]
