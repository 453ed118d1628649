"""Checks of arguments that callers hand in: keys, labels, images, integers.

Each message names the argument, what was expected and what came. Shapes are checked while tracing;
values only where they are concrete.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax.types import Key

_RAW = {(2,): "threefry", (4,): "rbg"}  # the last axis of a legacy key in uint32


def check_keys(name: str, keys: Key, shape: Sequence[int], *, strict: bool = True) -> None:
    """Refuse what are not PRNG keys of a shape; () is one key.

    Typed keys and legacy ones, uint32 with one axis more, are both taken.

    Args:
      name: of the argument.
      keys: what came.
      shape: expected.
      strict: False: whatever has these leading axes is taken too; the estimator judges it.

    Raises:
      TypeError: for what are no keys.
      ValueError: for keys of another shape.
    """
    expected = f"{name} must be {_keys(tuple(shape))}"
    dtype, got = getattr(keys, "dtype", None), tuple(np.shape(keys))
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        if not strict and shape and got[: len(shape)] == tuple(shape):
            return
        if dtype != np.uint32 or got[-1:] not in _RAW:
            came = type(keys).__name__ if dtype is None else f"{dtype} {list(got)}"
            raise TypeError(f"{expected}, as jax.random.key makes one; got {came}")
        got = got[:-1]
    if got != tuple(shape):
        raise ValueError(f"{expected}; got {_keys(got)}")


def _keys(shape: tuple[int, ...]) -> str:
    return f"PRNG keys {list(shape)}" if shape else "one PRNG key"


def check_ids(name: str, ids: Any, count: int | None = None) -> None:
    """Refuse names of examples that are not whole numbers, one for each of `count` examples.

    Raises:
      ValueError: naming the dtype and the shape.
    """
    dtype, got = jnp.result_type(ids), tuple(np.shape(ids))
    fits = len(got) == 1 and count in (None, got[0])
    if not fits or not jnp.issubdtype(dtype, jnp.integer):
        length = "B" if count is None else count
        raise ValueError(f"{name} must be whole numbers [{length}]; got {dtype} {list(got)}")


def check_labels(
    name: str, labels: Any, shape: Sequence[int], num_classes: int, letters: str = ""
) -> None:
    """Refuse labels that are not whole numbers of a shape, or that name no class.

    Args:
      name: of the argument.
      labels: an array; its values are checked where they are concrete.
      shape: expected.
      num_classes: C; labels are 0 to C - 1.
      letters: of the shape, such as "[B]", for the message.

    Raises:
      TypeError: for labels that are not whole numbers.
      ValueError: for another shape, or a label outside the classes.
    """
    expected = f"{name} must be {letters and letters + ' = '}{list(shape)}"
    got = tuple(np.shape(labels))
    if got != tuple(shape):
        one_hot = got == (*shape, num_classes)
        hint = f"; of one-hot rows take {name}.argmax(-1)" if one_hot else ""
        raise ValueError(f"{expected}, a whole number each; got {list(got)}{hint}")
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise TypeError(f"{expected} of whole numbers; got {jnp.result_type(labels)}")
    if isinstance(labels, jax.core.Tracer) or not np.size(labels):
        return
    values = np.asarray(labels)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"{name} must lie in 0 to {num_classes - 1}; got {low} to {high}")


def check_channels_last(name: str, shape: Sequence[int]) -> None:
    """Refuse images that have their channels first, [..., C, H, W].

    Told apart are those of 1 or 3 rows whose other two axes could be the sides of a picture: at
    least 8 each, and neither above three times the other.

    Raises:
      ValueError: naming the shape, and what turns it.
    """
    if len(shape) < 3 or shape[-3] not in (1, 3):
        return
    low, high = sorted(shape[-2:])
    if low >= 8 and high <= 3 * low:
        raise ValueError(
            f"{name} must be [..., H, W, C], channels last; got {list(shape)}, which has them "
            f"first: take jnp.moveaxis({name}, -3, -1)"
        )


def check_same_shape(name: str, array: Any, other: str, like: Any) -> None:
    """Refuse two arrays of different shapes, which would be broadcast silently.

    Raises:
      ValueError: naming both, and their shapes.
    """
    if np.shape(array) != np.shape(like):
        shapes = list(np.shape(like)), list(np.shape(array))
        raise ValueError(f"{name} must have the shape of {other}, {shapes[0]}; got {shapes[1]}")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Refuse what is no whole number of at least `least`.

    Raises:
      ValueError: naming the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")


def check_instance(name: str, value: Any, kind: type, example: str) -> None:
    """Refuse a value of another type.

    Raises:
      TypeError: naming the argument, the type with an example, and what came.
    """
    if not isinstance(value, kind):
        came = getattr(value, "__qualname__", None) or type(value).__name__
        raise TypeError(f"{name} must be of type {kind.__name__}, such as {example}; got {came}")
