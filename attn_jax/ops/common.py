"""What several kernels begin with."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Size = int | tuple[int, int]


def pair(size: Size) -> tuple[int, int]:
    """(h, w) of an output given as h = w, or as both.

    Raises:
      ValueError: if one of them is below 1.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1; got {size}")
    return height, width


def wide(x: Array) -> jnp.dtype:
    """The dtype in which coordinates and sums are computed: at least float32."""
    return jnp.promote_types(x.dtype, jnp.float32)


def is_concrete(x: Array | np.ndarray) -> bool:
    """Whether the values are known while tracing."""
    return not isinstance(x, jax.core.Tracer)


def _sign(order: tuple[int, ...]) -> int:
    """Of a permutation: -1 for an odd number of pairs out of order."""
    return (-1) ** sum(i > j for i, j in itertools.combinations(order, 2))


def is_singular(matrix: Array | np.ndarray) -> Array | np.bool_:
    """[], |det M| <= 2 n eps sum_p prod_i |M_i,p(i)|: no more than the rounding of its own terms.

    Rows and columns may have any scale. What is not finite counts as singular.
    """
    n, limits = len(matrix), jnp.finfo(matrix.dtype)
    rows = matrix / (abs(matrix).max(axis=1, keepdims=True) + limits.tiny)
    terms = {
        order: math.prod(rows[i, j] for i, j in enumerate(order))
        for order in itertools.permutations(range(n))
    }
    determinant = sum(_sign(order) * term for order, term in terms.items())
    rounding = 2 * n * float(limits.eps) * sum(map(abs, terms.values()))
    return ~(abs(determinant) > rounding)


def check_invertible(name: str, matrix: Array) -> None:
    """Refuse a matrix known to be singular; one that is traced is the caller's to handle.

    Args:
      name: of the argument, for the message.
      matrix: [n, n], or [n, n + 1] of which the last column moves.

    Raises:
      ValueError: if the first n columns are singular or not finite.
    """
    if not is_concrete(matrix):
        return
    values = np.asarray(matrix)
    square = values[:, : len(values)].astype(wide(matrix))  # of NumPy: no slice is traced
    if not np.isfinite(square).all() or is_singular(square):
        raise ValueError(f"{name} must be invertible and finite; got {values.tolist()}")
