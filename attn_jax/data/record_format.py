"""The form of a record, which holds one example, and how an example is written as one.

A record is the lengths of the example's variable arrays as little-endian int32, then the bytes of
all its arrays in C order, both in the order of the specs. It has no checksum of its own:
ArrayRecord stores a hash with each record and checks it at every read.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

LENGTH = np.dtype("<i4")


class ArraySpec(NamedTuple):
    """One array of an example.

    Attributes:
      name: its key in an example and in a batch.
      dtype: bool, integer or float, little-endian.
      shape: of one example; None stands for an axis whose length varies, at most one.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int | None, ...]

    @property
    def varies(self) -> bool:
        """Whether an axis has no fixed length."""
        return None in self.shape

    def with_length(self, length: int) -> tuple[int, ...]:
        """The shape with `length` in place of the variable axis."""
        return tuple(length if side is None else side for side in self.shape)

    def length_of(self, array: np.ndarray) -> int:
        """The length of an array along the variable axis."""
        return array.shape[self.shape.index(None)]

    def nbytes(self, length: int = 0) -> int:
        """The bytes of one example's array, `length` long along the variable axis."""
        return self.dtype.itemsize * math.prod(self.with_length(length))

    def accepts(self, array: np.ndarray) -> bool:
        """Whether an array has this dtype and shape."""
        same = array.dtype.newbyteorder("<") == self.dtype and array.ndim == len(self.shape)
        sides = zip(self.shape, array.shape, strict=False)
        return same and all(side in (None, got) for side, got in sides)


def make_spec(name: str, array: np.ndarray, variable: int | None = None) -> ArraySpec:
    """Describe all arrays that differ from this one at most in the length of one axis.

    Args:
      name: its key in an example.
      array: of any example.
      variable: the axis whose length varies; None: the shape is fixed.

    Raises:
      ValueError: for a dtype that is no bool, integer or float, or an axis that is not there.
    """
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be bool, integer or float; got dtype {array.dtype}")
    if variable is not None and not 0 <= variable < array.ndim:
        raise ValueError(
            f"the variable axis of {name} must be one of its {array.ndim} axes; got {variable}"
        )
    shape = tuple(None if axis == variable else side for axis, side in enumerate(array.shape))
    return ArraySpec(name, array.dtype.newbyteorder("<"), shape)


def encode(example: Mapping[str, np.ndarray], specs: Sequence[ArraySpec]) -> bytes:
    """Write one example as one record.

    Raises:
      ValueError: naming the array that is missing, unknown, or not as its spec says.
    """
    names = [spec.name for spec in specs]
    if {*example} != {*names}:
        raise ValueError(f"expected the arrays {', '.join(names)}; got {', '.join(example)}")
    arrays = [np.asarray(example[name]) for name in names]
    for spec, array in zip(specs, arrays, strict=True):
        if not spec.accepts(array):
            raise ValueError(
                f"{spec.name} must be {spec.dtype} of shape {describe(spec.shape)}; "
                f"got {array.dtype} of shape {describe(array.shape)}"
            )
    pairs = list(zip(specs, arrays, strict=True))
    lengths = [spec.length_of(array) for spec, array in pairs if spec.varies]
    parts = [array.astype(spec.dtype, copy=False).tobytes() for spec, array in pairs]
    return np.array(lengths, LENGTH).tobytes() + b"".join(parts)


def describe(shape: Sequence[int | None]) -> str:
    """A shape in words, `any` for a variable axis."""
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"


def record_lengths(record: bytes, specs: Sequence[ArraySpec]) -> list[int]:
    """Read the lengths of a record's variable arrays, in the order of the specs."""
    return np.frombuffer(record[: head_bytes(specs)], LENGTH).tolist()


def head_bytes(specs: Sequence[ArraySpec]) -> int:
    """The number of bytes in front of a record's arrays, which hold the lengths."""
    return LENGTH.itemsize * sum(spec.varies for spec in specs)
