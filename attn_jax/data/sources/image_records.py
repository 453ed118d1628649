"""Images in folders of records: loaded like those of any other source, or streamed."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_jax.data.pictures import Preparation
from attn_jax.data.record_writer import write_records
from attn_jax.data.sources.images import (
    SPLITS,
    Images,
    Source,
    check_images,
    check_source,
    digest,
)
from attn_jax.data.streams import Records

# name, dtype, rank and whether an axis varies
_ARRAYS = [("images", "|u1", 3, False), ("labels", "<i4", 0, False)]
_ABOUT = {"classes": list, "preparation": dict, "digest": str, "description": str}
_BLOCK = 4096  # records read at a time


class StreamedSource(NamedTuple):
    """A data set whose training images stay on disk.

    Attributes:
      train: the training split. A batch of it has `images`, uint8 [..., H, W, C], and `labels`,
        int32 [...]: Images(**train.read(ids)).
      validation, test: the other splits, in memory.
      classes: their names; label i is classes[i].
      preparation: how a picture becomes one of these images.
      name: "records".
      description: one line: what was opened and how it was split.
    """

    train: Records
    validation: Images
    test: Images
    classes: tuple[str, ...]
    preparation: Preparation
    name: str
    description: str

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


def write_images(folder: str | os.PathLike, source: Source, *, shard_bytes: int = 2**30) -> None:
    """Write a data set as records, in the folders train/, validation/ and test/.

    The training split is written last, so a folder whose writing was interrupted is refused: its
    training split has no index. Remove such a folder before writing to it again.

    Args:
      folder: made if it is not there.
      source: of `load_source`, or made of arrays.
      shard_bytes: of a shard, as in `write_records`.

    Raises:
      ValueError: if the folder holds records already, or the images or labels are not as
        `check_images` wants them.
      ModuleNotFoundError: if array_record is not installed.
    """
    parts = {
        name: check_images(*getattr(source, name), source.num_classes, name) for name in SPLITS
    }
    checked = check_source(source._replace(**parts))
    about = {
        "classes": list(source.classes),
        "preparation": source.preparation._asdict(),
        "digest": digest(checked),
        "description": source.description,
    }
    for split in reversed(SPLITS):
        pairs = zip(*parts[split], strict=True)
        examples = ({"images": image, "labels": label} for image, label in pairs)
        write_records(Path(folder, split), examples, about=about, shard_bytes=shard_bytes)


def load_records(path: str | os.PathLike) -> Source:
    """Load images that `write_images` wrote, all of them into memory.

    Raises:
      FileNotFoundError: if there is no such folder, or its writing was interrupted.
      ValueError: if its records are damaged, fewer than the index says, or not images with labels.
      ModuleNotFoundError: if array_record is not installed.
    """
    streamed = open_stream(path)
    where = Path(os.path.expanduser(path), "train")
    train = _load(streamed.train, streamed.num_classes, where)
    return Source(train, *streamed[1:])


def open_stream(path: str | os.PathLike) -> StreamedSource:
    """Open images that `write_images` wrote, the training split left on disk.

    The same ids give the same pixels and labels as `load_records`.

    Raises:
      FileNotFoundError, ValueError, ModuleNotFoundError: as `load_records` does; of the training
        records only the index and the number are looked at.
    """
    root = Path(os.path.expanduser(path))
    if not root.is_dir():
        raise FileNotFoundError(f"expected a folder of records at {root}; there is none")
    train, validation, test = (_open(root / split) for split in SPLITS)
    for split, records in (("validation", validation), ("test", test)):
        if (records.arrays, records.about) != (train.arrays, train.about):
            raise ValueError(f"{root}: train and {split} are not of one data set")
    classes = tuple(map(str, train.about["classes"]))
    return StreamedSource(
        train,
        _load(validation, len(classes), root / "validation"),
        _load(test, len(classes), root / "test"),
        classes,
        _preparation(train, root),
        "records",
        train.about["description"],
    )


def _open(folder: Path) -> Records:
    """Open the records of one split, which must be images with labels."""
    records = Records(folder)
    found = [(spec.name, spec.dtype.str, len(spec.shape), spec.varies) for spec in records.arrays]
    about = {key: type(records.about.get(key)) for key in _ABOUT}
    if found != _ARRAYS or about != _ABOUT:
        raise ValueError(
            f"{folder} holds no images that write_images wrote: expected uint8 images [H, W, C], "
            f"int32 labels [], and {', '.join(_ABOUT)}"
        )
    return records


def _preparation(records: Records, root: Path) -> Preparation:
    try:
        return Preparation.of(records.about["preparation"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"{root}: the index holds no preparation of pictures: {error}") from error


def _load(records: Records, num_classes: int, where: Path) -> Images:
    """Read a split into memory."""
    blocks = [
        records.read(np.arange(start, min(start + _BLOCK, len(records))))
        for start in range(0, len(records), _BLOCK)
    ]
    images, labels = (np.concatenate([block[name] for block in blocks]) for name in Images._fields)
    return check_images(images, labels, num_classes, str(where))
