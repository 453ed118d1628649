"""Means and proportions with their 95 % intervals."""

import math

import numpy as np
from jaxtyping import Shaped

_Z = 1.959963984540054  # the normal quantile of a two-sided 95 % interval


def wilson(count: int, total: int) -> tuple[float, float]:
    """Compute the 95 % Wilson score interval of a proportion, as (low, high) in [0, 1].

    Args:
      count: the number of successes.
      total: the number of trials, at least 1.

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
    """Compute a mean of clustered values with its 95 % interval, as (mean, low, high).

        mean +- 1.96 s / sqrt(N),   s the standard deviation of the N row means

    Args:
      values: a row of K values for each of N independent clusters, N at least 2.

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
