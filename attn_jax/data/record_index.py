"""The index of a folder of records: which arrays they hold and how many are in each shard."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attn_jax.data.record_format import ArraySpec
from attn_jax.records import write_atomically

FORMAT = 1  # raised when an older reader would misread a folder


class Index(NamedTuple):
    """The content of index.json.

    Attributes:
      arrays: of an example, in the order in which a record holds them.
      shards: the number of records in each shard.
      about: JSON of the writer's, such as the number of classes.
    """

    arrays: tuple[ArraySpec, ...]
    shards: tuple[int, ...]
    about: dict[str, Any]


def index_path(folder: Path) -> Path:
    """Where the index of a folder lies."""
    return folder / "index.json"


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard of a folder lies."""
    return folder / f"{number:05}.array_record"


def lengths_path(folder: Path) -> Path:
    """Where the lengths of variable arrays lie: int32 [variable arrays, records]."""
    return folder / "lengths.npy"


def array_record() -> Any:
    """The module that reads and writes shards, imported when it is needed.

    Raises:
      ModuleNotFoundError: if it is not installed, saying how to get it.
    """
    try:
        from array_record.python import array_record_module
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "records need array_record: pip install 'attn_jax[experiments]'"
        ) from error
    return array_record_module


def write_index(folder: Path, index: Index) -> None:
    """Write index.json, the whole of it or nothing."""
    arrays = [
        {"name": spec.name, "dtype": spec.dtype.str, "shape": spec.shape} for spec in index.arrays
    ]
    content = {"format": FORMAT, "shards": index.shards, "arrays": arrays, "about": index.about}
    write_atomically(index_path(folder), json.dumps(content, indent=1) + "\n")


def read_index(folder: Path) -> Index:
    """Read index.json.

    Raises:
      FileNotFoundError: if there is none, as where a writer was interrupted.
      ValueError: if it is damaged, or of another format.
    """
    path = index_path(folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}; got {content['format']!r}")
        arrays = tuple(_spec(array) for array in content["arrays"])
        shards = tuple(_count(number) for number in content["shards"])
        if not arrays or not shards:
            raise ValueError("expected at least one array and one shard")
        return Index(arrays, shards, dict(content["about"]))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"expected a folder of records with an index.json, which is written last, at {folder}; "
            "there is none"
        ) from error
    except KeyError as error:
        raise ValueError(f"{path} cannot be read: there is no {error} in it") from error
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _spec(array: dict[str, Any]) -> ArraySpec:
    """One array of an example, from its JSON."""
    name, dtype, shape = str(array["name"]), np.dtype(array["dtype"]), tuple(array["shape"])
    if dtype.kind not in "biuf" or shape.count(None) > 1:
        raise ValueError(f"{name} has dtype {dtype} and shape {[*shape]}")
    return ArraySpec(name, dtype, tuple(None if side is None else _count(side) for side in shape))


def _count(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"expected a whole number, at least 0; got {number!r}")
    return number
