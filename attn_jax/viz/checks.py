"""Arguments held to what a picture needs, with messages that name them."""

from collections.abc import Sequence

import numpy as np


def check_shapes(**arrays: tuple[np.ndarray, str]) -> dict[str, int]:
    """Hold arrays to the shapes their letters describe, one letter one length.

    Args:
      **arrays: argument name -> (array, letters), such as (locations, "N T 2").

    Returns:
      The length of every letter.

    Raises:
      ValueError: naming the argument, what was expected and what came.
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
    """Hold a list of patch sizes to the number of scales.

    Raises:
      ValueError: naming what was expected and what came.
    """
    if len(sizes) != scales or min(sizes) <= 0:
        raise ValueError(f"sizes must be {scales} positive pixels, one a scale; got {sizes!r}")
