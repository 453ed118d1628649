"""Figures with their uncertainty."""

import math

import numpy as np
from jaxtyping import Shaped

_Z = 1.959963984540054  # of a two-sided 95 % interval


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion, as (low, high) in [0, 1].

    Args:
      count: how many of `total` had the property.
      total: at least 1.

    Raises:
      ValueError: unless 0 <= count <= total and total >= 1.

    Reference: Wilson, "Probable inference", JASA 1927.

    >>> [round(p, 4) for p in wilson(10, 500)]
    [0.0109, 0.0364]
    """
    if total < 1 or not 0 <= count <= total:
        raise ValueError(f"wilson needs 0 <= count <= total and total >= 1; got {count} of {total}")
    p, z2 = count / total, _Z**2
    middle = p + z2 / (2 * total)
    half = _Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2))
    scale = 1 + z2 / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def clustered(values: Shaped[np.ndarray, "N K"]) -> tuple[float, float, float]:
    """A mean with its 95 % interval where the values of a row belong together: (mean, low, high).

        mean +- 1.96 s / sqrt(N),   s the standard deviation of the N row means

    Args:
      values: K of each of N independent things, N at least 2; differences may be negative.

    Raises:
      ValueError: for fewer than two rows.

    >>> [round(x, 3) for x in clustered(np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]))]
    [0.5, -0.066, 1.066]
    """
    if len(values) < 2:
        raise ValueError(f"values must have at least 2 rows; got {len(values)}")
    of_rows = values.mean(1, dtype=np.float64)
    half = _Z * float(of_rows.std(ddof=1)) / math.sqrt(len(of_rows))
    mean = float(of_rows.mean())
    return mean, mean - half, mean + half
