"""Examples on disk that are read by their position: data that need not fit in memory.

Reading has no state. A batch depends on its ids alone, and `batch_ids` makes them from the seed
and the step, so a resumed run needs no more than its step number.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Integer

from attn_jax.data.record_decode import decode
from attn_jax.data.record_format import ArraySpec
from attn_jax.data.record_index import array_record, lengths_path, read_index, shard_path
from attn_jax.errors import check_name

# Nothing near a random position is worth reading ahead.
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


class Records:
    """A folder of records, written by `write_records`.

    Threads may read at once.

    Attributes:
      arrays: the specs of an example's arrays.
      about: the JSON that its writer gave.

    >>> import tempfile
    >>> from attn_jax.data import write_records
    >>> folder = tempfile.mkdtemp()
    >>> texts = [{"text": np.array(text)} for text in ([7, 8, 9], [5])]
    >>> write_records(folder, texts, variable={"text": 0})
    >>> batch = Records(folder).read(np.array([1, 0]))
    >>> batch["text"].tolist(), batch["text_length"].tolist()
    ([[5, 0, 0], [7, 8, 9]], [1, 3])
    """

    arrays: tuple[ArraySpec, ...]
    about: dict[str, Any]

    def __init__(self, folder: str | os.PathLike):
        """Open every shard of a folder.

        Raises:
          FileNotFoundError: if there is no index, or a shard is missing.
          ValueError: if the index or a shard is damaged, or a shard holds another number of
            records than the index says.
          ModuleNotFoundError: if array_record is not installed.
        """
        self._folder = Path(folder)
        self.arrays, shards, self.about = read_index(self._folder)
        self._starts = np.concatenate([[0], np.cumsum(shards)])
        self._shards = [self._open(number, count) for number, count in enumerate(shards)]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def lengths(self, name: str) -> Int32[np.ndarray, "N"]:
        """Read the lengths of a variable array in all examples, from a file beside the records.

        Raises:
          ValueError: if no variable array has this name, or the file of lengths is damaged.
        """
        names = [spec.name for spec in self.arrays if spec.varies]
        if name not in names:
            raise ValueError(
                f"{self._folder}: the variable arrays are {', '.join(names) or '(none)'}; "
                f"got {name!r}"
            )
        path = lengths_path(self._folder)
        try:
            lengths = np.load(path)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        if lengths.shape != (len(names), len(self)):
            raise ValueError(
                f"{path}: expected [{len(names)}, {len(self)}] lengths; got {[*lengths.shape]}"
            )
        return lengths[names.index(name)].astype(np.int32)

    def read(
        self, ids: Integer[np.ndarray, "..."], pad_to: Mapping[str, int] | None = None
    ) -> dict[str, np.ndarray]:
        """Read the examples at some positions.

        One call for the ids of many batches, [count, B], takes a third of the time of a call for
        each.

        Args:
          ids: any number, in any order, each in [0, len).
          pad_to: name of a variable array -> its length in the batch; by default the longest
            array's of this call.

        Returns:
          name -> [..., *shape], with the axes of `ids` first and zeros after the end of a shorter
          array; and <name>_length, int32 [...], for each variable array.

        Raises:
          ValueError: for an id out of range, or a name in `pad_to` that is no variable array;
            naming the file and the record that is damaged, cut short, or longer than `pad_to`.
        """
        for name in pad_to or {}:
            check_name("pad_to", name, [spec.name for spec in self.arrays if spec.varies])
        places = ids.ravel()
        if places.size and not 0 <= places.min() <= places.max() < len(self):
            raise ValueError(
                f"ids must lie in 0 to {len(self) - 1}; got {places.min()} to {places.max()}"
            )
        records = self._bytes(places)
        batch = decode(records, self.arrays, pad_to or {}, lambda k: self._where(int(places[k])))
        return {name: array.reshape(*ids.shape, *array.shape[1:]) for name, array in batch.items()}

    def _bytes(self, ids: np.ndarray) -> list[bytes]:
        """The records at some positions, undecoded."""
        shards = np.searchsorted(self._starts, ids, side="right") - 1
        records = np.empty(len(ids), object)
        for number in np.unique(shards):
            here = shards == number
            positions = (ids[here] - self._starts[number]).tolist()
            records[here] = self._read_shard(int(number), positions)
        return records.tolist()

    def _read_shard(self, number: int, positions: list[int]) -> list[bytes]:
        reader = self._shards[number]
        try:
            return reader.read(positions)
        except RuntimeError:
            for position in positions:  # one at a time, to say which
                try:
                    reader.read([position])
                except RuntimeError as error:
                    where = self._where(int(self._starts[number]) + position)
                    raise ValueError(f"{where} is damaged: {error}") from error
            raise

    def _where(self, record: int) -> str:
        """The file and the number of a record, for messages."""
        number = int(np.searchsorted(self._starts, record, side="right")) - 1
        names = ", ".join(spec.name for spec in self.arrays)
        return f"{shard_path(self._folder, number)}: record {record} ({names})"

    def _open(self, number: int, count: int):
        """A reader of one shard, which holds `count` records."""
        path = shard_path(self._folder, number)
        if not path.exists():
            raise FileNotFoundError(f"expected {count} records in {path}; there is no such file")
        try:
            reader = array_record().ArrayRecordReader(str(path), options=_OPTIONS)
            found = reader.num_records()
            damage = "" if reader.ok() else "; the file is damaged or cut short"
        except RuntimeError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        if found != count or damage:
            raise ValueError(f"expected {count} records in {path}; got {found}{damage}")
        return reader
