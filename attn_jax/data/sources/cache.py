"""A cache of arrays that are slow to make, in the user's cache directory."""

import contextlib
import os
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def cache_dir() -> Path:
    """The directory $XDG_CACHE_HOME/attn_jax, or ~/.cache/attn_jax."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "attn_jax"


def cached(
    name: str, stamp: str, build: Callable[[], Arrays], *, seconds: float = 0.0, limit: int = 2**31
) -> Arrays:
    """Return the arrays that `build` makes, from the cache if they are there and undamaged.

    Where the cache cannot be read or written, the arrays are built.

    Args:
      name: of the file, without suffix.
      stamp: identifies the version of the arrays' origin. Where the file has another stamp, the
        arrays are built again and the file is replaced.
      build: makes the arrays.
      seconds: arrays that are built in less time are not stored.
      limit: arrays of more bytes are not stored.
    """
    path = cache_dir() / f"{name}.npz"
    # np.load leaves a damaged file open if it opens it itself.
    with contextlib.suppress(*DAMAGED), open(path, "rb") as raw, np.load(raw) as file:
        arrays = {key: file[key] for key in file.files}
        if str(arrays.pop("stamp")) == stamp:
            return arrays
    began = time.monotonic()
    arrays = build()
    slow = time.monotonic() - began >= seconds
    if slow and sum(array.nbytes for array in arrays.values()) <= limit:
        with contextlib.suppress(OSError):
            _store(path, {**arrays, "stamp": np.array(stamp)})
    return arrays


def _store(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)  # readers see the old file or the new, never half of one
    except BaseException:
        os.unlink(temporary)
        raise
