"""Arrays that are slow to make, kept in the user's cache directory."""

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
    """$XDG_CACHE_HOME/attn_jax, or ~/.cache/attn_jax."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "attn_jax"


def cached(
    name: str, stamp: str, build: Callable[[], Arrays], *, seconds: float = 0.0, limit: int = 2**31
) -> Arrays:
    """What `build` gives, from the cache if it is there and whole.

    A cache is a convenience: where it cannot be written or read, the arrays are built.

    Args:
      name: of the file, without suffix.
      stamp: names the version of what was read; another one is built anew, and replaces it.
      build: makes the arrays.
      seconds: what takes less than this to build is not stored.
      limit: nor is what takes more than this many bytes.
    """
    path = cache_dir() / f"{name}.npz"
    # np.load would leave a damaged file open: open it here
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
