"""Checks and conversions of arguments that several kernels share."""

import functools
import itertools
import math
from collections.abc import Sequence
from numbers import Integral

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from attn_jax.types import Read, ReadApply, Tag

Size = int | tuple[int, int]


def pair(size: Size) -> tuple[int, int]:
    """Return (h, w) of a size that is given as one number, h = w, or as a pair.

    Raises:
      ValueError: if it is neither, or one of them is below 1.
    """
    both = size if isinstance(size, Sequence) else (size, size)
    if len(both) != 2 or not all(isinstance(n, Integral) for n in both):
        raise ValueError(f"size must be a whole number or (h, w); got {size}")
    if min(both) < 1:
        raise ValueError(f"size must be at least 1; got {size}")
    return int(both[0]), int(both[1])


def read_of(apply: ReadApply, takes: Tag) -> Read:
    """Make a read of a kernel on arrays; it takes what `jnp.asarray` takes, lists among it."""
    return Read(lambda x, where: apply(jnp.asarray(x), jnp.asarray(where)), takes)


def promoted(*dtypes: DTypeLike) -> jnp.dtype:
    """The dtype in which to compute with several, at least float32.

    It is the same where JAX is told to refuse operations of different dtypes.
    """
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, dtypes, jnp.dtype(jnp.float32))


def widened(name: str, x: ArrayLike) -> Array:
    """Convert x to the dtype in which coordinates and sums are computed: at least float32.

    Args:
      name: of the argument, for the message.
      x: an array, or anything that `jnp.asarray` takes.

    Raises:
      TypeError: if x is not floating point.
    """
    array = jnp.asarray(x)
    check_floating(name, array)
    return array.astype(promoted(array.dtype))


def check_floating(name: str, array: Array) -> None:
    """Refuse an array of integers, to whose dtype results would be rounded.

    Raises:
      TypeError: if it is not floating point.
    """
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"{name} must be floating point; got {array.dtype}")


def check_extent(size: int, dtype: DTypeLike) -> None:
    """Refuse an axis whose pixels cannot all be counted: in float32 it has at most 2^24.

    Args:
      size: of the axis, in pixels.
      dtype: in which places are computed.

    Raises:
      ValueError: if it is longer.
    """
    counted = 2 ** (jnp.finfo(dtype).nmant + 1)
    most = min(counted, 2**31 - 8)  # pixels are numbered in int32, also some outside
    if size > most:
        raise ValueError(
            f"an axis may have at most {most} pixels where places are computed in "
            f"{jnp.dtype(dtype)}; got {size}"
        )


def shape_of(x: ArrayLike) -> tuple[int, ...]:
    """The shape of an array, or of nested lists, which `jnp.shape` does not take."""
    return jnp.asarray(x).shape


def is_concrete(x: ArrayLike) -> bool:
    """Whether all values are known while tracing."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(x))


def _sign(order: tuple[int, ...]) -> int:
    """The sign of a permutation: -1 if an odd number of pairs is out of order, else 1."""
    return (-1) ** sum(i > j for i, j in itertools.combinations(order, 2))


def is_singular(matrix: Array | np.ndarray) -> Array | np.bool_:
    """Whether |det M| <= 2 n eps sum_p prod_i |M_i,p(i)|, the rounding of its own terms.

    Rows and columns may have any scale. A matrix that is not finite counts as singular.
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


def check_invertible(name: str, matrix: ArrayLike) -> None:
    """Refuse a matrix that is known to be singular; a traced one cannot be checked.

    Args:
      name: of the argument, for the message.
      matrix: [n, n], or [n, n + 1] whose last column is a shift.

    Raises:
      ValueError: if the first n columns are singular or not finite.
    """
    if not is_concrete(matrix):
        return
    values = np.asarray(matrix)  # NumPy's: no slice of it is traced
    square = values[:, : len(values)].astype(np.promote_types(values.dtype, np.float32))
    if not np.isfinite(square).all() or is_singular(square):
        raise ValueError(f"{name} must be invertible and finite; got {values.tolist()}")
