"""Checks of the shapes of arguments, with messages that name the argument."""

from collections.abc import Sequence

import numpy as np


def check_shapes(**arrays: tuple[np.ndarray, str]) -> dict[str, int]:
    """Check arrays against shapes written in letters; a letter is the same length everywhere.

    Args:
      **arrays: argument name -> (array, letters), such as (locations, "N T 2").

    Returns:
      letter -> length.

    Raises:
      ValueError: naming the argument, the expected shape and the actual one.
    """
    lengths: dict[str, int] = {}
    for name, (array, letters) in arrays.items():
        shape, axes = np.shape(array), letters.split()
        known = [f"{a}={lengths[a]}" if a in lengths else a for a in axes]
        fits = len(shape) == len(axes)
        for axis, length in zip(axes, shape, strict=False):
            wanted = int(axis) if axis.isdigit() else lengths.setdefault(axis, length)
            fits = fits and length == wanted and length > 0
        if not fits:
            raise ValueError(
                f"{name} must have shape [{', '.join(known)}], none of them 0; got {list(shape)}"
            )
    return lengths


def check_sizes(sizes: Sequence[float], scales: int) -> None:
    """Check that there is one positive patch size for each scale.

    Raises:
      ValueError: if there is not.
    """
    if len(sizes) != scales or min(sizes) <= 0:
        raise ValueError(
            f"sizes must be {scales} positive pixels, one for each scale; got {sizes!r}"
        )
