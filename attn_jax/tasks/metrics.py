"""Figures with their uncertainty."""

import math

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
