"""How records are read as a batch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from attn_jax.data.record_format import LENGTH, ArraySpec, head_bytes, record_lengths

# Records of a fixed size are decoded so many bytes at a time: a block stays in the cache. For 256
# MNIST digits that takes 0.1 ms; 0.3 ms in one block, and more in a loop over records.
_BLOCK = 2**19


def decode(
    records: Sequence[bytes],
    specs: Sequence[ArraySpec],
    pad_to: Mapping[str, int],
    where: Callable[[int], str],
) -> dict[str, np.ndarray]:
    """Read a batch from its N records.

    Args:
      records: written by `encode`.
      specs: of the arrays of an example.
      pad_to: name of a variable array -> its length in the batch; by default the longest's.
      where: (place among the records) -> name of that record in messages.

    Returns:
      name -> [N, ...], zeros after the end of a shorter array; and <name>_length, int32 [N], for
      each variable array.

    Raises:
      ValueError: naming a record that has another number of bytes than its arrays, or an array
        that is longer than `pad_to`.
    """
    if any(spec.varies for spec in specs):
        return _decode_variable(records, specs, pad_to, where)
    return _decode_fixed(records, specs, where)


def _decode_fixed(
    records: Sequence[bytes], specs: Sequence[ArraySpec], where: Callable[[int], str]
) -> dict[str, np.ndarray]:
    """Like `decode`, for records of one size."""
    size = sum(spec.nbytes() for spec in specs)
    if {*map(len, records)} - {size}:
        place = next(i for i, record in enumerate(records) if len(record) != size)
        raise ValueError(f"{where(place)}: expected {size} bytes; got {len(records[place])}")
    batch = {
        spec.name: np.empty((len(records), *spec.with_length(0)), spec.dtype) for spec in specs
    }
    count = max(1, _BLOCK // max(1, size))
    for first in range(0, len(records), count):
        block = records[first : first + count]
        rows = np.frombuffer(b"".join(block), np.uint8).reshape(len(block), size)
        end = 0
        for spec in specs:
            start, end = end, end + spec.nbytes()
            values = batch[spec.name][first : first + count]
            values[...] = rows[:, start:end].view(spec.dtype).reshape(values.shape)
    return batch


def _decode_variable(
    records: Sequence[bytes],
    specs: Sequence[ArraySpec],
    pad_to: Mapping[str, int],
    where: Callable[[int], str],
) -> dict[str, np.ndarray]:
    """Like `decode`, for records of which at least one array varies in length."""
    lengths = np.array(
        [_lengths(record, specs, where, place) for place, record in enumerate(records)], LENGTH
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
        end = head_bytes(specs)
        for spec, length in zip(specs, lengths[place].tolist(), strict=True):
            start, end = end, end + spec.nbytes(length)
            shape = spec.with_length(length)
            inside = (place, *(slice(side) for side in shape))
            batch[spec.name][inside] = np.frombuffer(record[start:end], spec.dtype).reshape(shape)
    return batch


def _lengths(
    record: bytes, specs: Sequence[ArraySpec], where: Callable[[int], str], place: int
) -> list[int]:
    """Read the length of each array of a record, 0 where it does not vary, and check its size."""
    head = head_bytes(specs)
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
