"""How one example becomes one record, and many records one batch.

A record is the lengths of the example's variable arrays as little-endian int32, then the bytes of
all its arrays in C order, both in the order of the specs. It has no checksum of its own:
ArrayRecord stores a hash with each record and checks it at every read.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

_LENGTH = np.dtype("<i4")


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
    return np.array(lengths, _LENGTH).tobytes() + b"".join(parts)


def describe(shape: Sequence[int | None]) -> str:
    """A shape in words, `any` for a variable axis."""
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"


def decode(
    records: Sequence[bytes],
    specs: Sequence[ArraySpec],
    pad_to: Mapping[str, int],
    where: Callable[[int], str],
) -> dict[str, np.ndarray]:
    """Read a batch from its N records.

    Args:
      records: what `encode` gave.
      specs: of the arrays.
      pad_to: name of a variable array -> its length in the batch; by default the longest's.
      where: (place among the records) -> what to call that record in a message.

    Returns:
      name -> [N, ...], zeros after the end of a shorter array; and <name>_length, int32 [N], for
      each variable array.

    Raises:
      ValueError: naming a record that has another number of bytes than its arrays, or an array
        that is longer than `pad_to`.
    """
    if any(spec.varies for spec in specs):
        return _decode_variable(records, specs, pad_to, where)
    size = sum(spec.nbytes() for spec in specs)
    if {*map(len, records)} - {size}:
        place = next(i for i, record in enumerate(records) if len(record) != size)
        raise ValueError(f"{where(place)}: expected {size} bytes; got {len(records[place])}")
    # One pass over all bytes: a loop over records would take longer than reading them.
    rows = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), size)
    batch, start = {}, 0
    for spec in specs:
        end = start + spec.nbytes()
        values = rows[:, start:end].copy().view(spec.dtype)
        batch[spec.name] = values.reshape(len(records), *spec.with_length(0))
        start = end
    return batch


def _decode_variable(
    records: Sequence[bytes],
    specs: Sequence[ArraySpec],
    pad_to: Mapping[str, int],
    where: Callable[[int], str],
) -> dict[str, np.ndarray]:
    """Like `decode`, for records of which at least one array varies in length."""
    lengths = np.array(
        [_lengths(record, specs, where, place) for place, record in enumerate(records)], _LENGTH
    ).reshape(len(records), len(specs))
    batch = {}
    for spec, given in zip(specs, lengths.T, strict=True):
        longest = pad_to.get(spec.name, int(given.max(initial=0)))
        if (given > longest).any():
            place = int((given > longest).argmax())
            raise ValueError(
                f"{where(place)}: {spec.name} must be at most {longest} long; got {given[place]}"
            )
        batch[spec.name] = np.zeros((len(records), *spec.with_length(longest)), spec.dtype)
        if spec.varies:
            batch[f"{spec.name}_length"] = given.astype(np.int32)
    for place, record in enumerate(map(memoryview, records)):
        end = _head(specs)
        for spec, length in zip(specs, lengths[place].tolist(), strict=True):
            start, end = end, end + spec.nbytes(length)
            shape = spec.with_length(length)
            inside = (place, *(slice(side) for side in shape))
            batch[spec.name][inside] = np.frombuffer(record[start:end], spec.dtype).reshape(shape)
    return batch


def record_lengths(record: bytes, specs: Sequence[ArraySpec]) -> list[int]:
    """Read the lengths of a record's variable arrays, in the order of the specs."""
    return np.frombuffer(record[: _head(specs)], _LENGTH).tolist()


def _head(specs: Sequence[ArraySpec]) -> int:
    """The bytes of a record's lengths."""
    return _LENGTH.itemsize * sum(spec.varies for spec in specs)


def _lengths(
    record: bytes, specs: Sequence[ArraySpec], where: Callable[[int], str], place: int
) -> list[int]:
    """Read the length of each array of a record, 0 where it does not vary, and check its size."""
    head = _head(specs)
    if len(record) < head:
        raise ValueError(f"{where(place)}: expected at least {head} bytes; got {len(record)}")
    given = iter(record_lengths(record, specs))
    lengths = [next(given) if spec.varies else 0 for spec in specs]
    if min(lengths) < 0:
        raise ValueError(f"{where(place)}: expected lengths of at least 0; got {min(lengths)}")
    size = head + sum(spec.nbytes(n) for spec, n in zip(specs, lengths, strict=True))
    if len(record) != size:
        raise ValueError(f"{where(place)}: expected {size} bytes; got {len(record)}")
    return lengths
