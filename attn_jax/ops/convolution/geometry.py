"""The geometry of a convolution: what slides over what, and how far."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple

Pair = tuple[int, int]
Padding = str | Sequence[tuple[int, int]]


class Geometry(NamedTuple):
    """The static numbers of a convolution of images [N, H, W, C]; pairs are (rows, columns).

    Attributes:
      size: (H, W) of the images.
      kernel: (kh, kw).
      strides: the steps of the kernel.
      padding: zeros put (before, after) the rows, and the columns.
      groups: parts of the channels, each of which has its own filters.
    """

    size: Pair
    kernel: Pair
    strides: Pair
    padding: tuple[Pair, Pair]
    groups: int = 1

    @property
    def out(self) -> Pair:
        """(h, w) of the result."""
        axes = zip(self.size, self.kernel, self.strides, self.padding, strict=True)
        rows, columns = ((n + sum(zeros) - k) // step + 1 for n, k, step, zeros in axes)
        return rows, columns


def make_geometry(
    x: Sequence[int],
    kernel: Sequence[int],
    strides: int | Sequence[int],
    padding: Padding,
    groups: int,
) -> Geometry:
    """Check what `conv` is given.

    Args:
      x, kernel: shapes, [..., H, W, C] and [kh, kw, C / groups, O].
      strides, padding, groups: of `conv`.

    Raises:
      ValueError: for what does not fit, in one line.
    """
    if len(x) < 3:
        raise ValueError(f"x must be [..., H, W, C]; got {list(x)}")
    if len(kernel) != 4 or not all(kernel[:2]):
        raise ValueError(f"kernel must be [kh, kw, C / groups, O]; got {list(kernel)}")
    _check_groups(x[-1], kernel, groups)
    size, spread, steps = (x[-3], x[-2]), (kernel[0], kernel[1]), make_pair("strides", strides)
    geometry = Geometry(size, spread, steps, _zeros(padding, size, spread, steps), groups)
    if min(geometry.out) < 1:
        raise ValueError(
            f"kernel {list(spread)} must fit into the images {list(size)} padded by "
            f"{padding!r}; it does not"
        )
    return geometry


def _check_groups(channels: int, kernel: Sequence[int], groups: int) -> None:
    if not _is_count(groups) or channels % groups or kernel[3] % groups:
        raise ValueError(
            f"groups must divide {channels} channels and {kernel[3]} filters; got {groups!r}"
        )
    if kernel[2] * groups != channels:
        raise ValueError(
            f"kernel must have C / groups = {channels // groups} channels; got {kernel[2]}"
        )


def make_pair(name: str, value: Any) -> Pair:
    """One whole number from 1 for rows and columns, or two.

    Raises:
      ValueError: naming the argument and the value.
    """
    pair = (value, value) if isinstance(value, Integral) else value
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(map(_is_count, pair)):
        raise ValueError(f"{name} must be one or two whole numbers from 1; got {value!r}")
    return int(pair[0]), int(pair[1])


def _is_count(value: Any, least: int = 1) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def _zeros(padding: Any, size: Pair, kernel: Pair, strides: Pair) -> tuple[Pair, Pair]:
    if padding == "SAME":
        return same(size, kernel, strides)
    if padding == "VALID":
        return (0, 0), (0, 0)
    pairs = [] if isinstance(padding, str) else list(padding)
    if len(pairs) != 2 or not all(len(p) == 2 and all(_is_count(n, 0) for n in p) for p in pairs):
        raise ValueError(
            "padding must be 'SAME', 'VALID' or ((before, after), (before, after)); "
            f"got {padding!r}"
        )
    (top, bottom), (left, right) = pairs
    return (int(top), int(bottom)), (int(left), int(right))


def same(size: Pair, kernel: Pair, strides: Pair) -> tuple[Pair, Pair]:
    """The padding of "SAME": there are ceil(size / strides) places, and an odd zero comes after."""
    axes = zip(size, kernel, strides, strict=True)
    missing = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in axes]
    rows, columns = ((gap // 2, gap - gap // 2) for gap in missing)
    return rows, columns
