"""The folder of compiled libraries: where it is, what in it can be trusted, who may write it.

The folder is $ATTN_JAX_CACHE, or attn_jax in the user's cache folder. A library ends in a digest of
the bytes before it, which a loader does not read: loading one that is cut short or changed would
end the process.
"""

import ctypes
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on this system: processes that start together each compile
    fcntl = None

_SEAL = 64  # characters of a SHA-256
# Compiles by the command that follows, seals the result, and renames it into place.
SCRIPT = """
made=$0 final=$1
shift
trap "" PIPE  # nobody may be left to hear a warning
if "$@" && chmod 755 "$made" &&
  sum=$(sha256sum < "$made" || shasum -a 256 < "$made") && printf %.64s "$sum" >> "$made" &&
  mv "$made" "$final"
then exit 0
fi
rm -f "$made"
exit 1
"""


class Damaged(OSError):
    """A library that is not what was compiled."""


def folder() -> Path:
    """The absolute path of the cache folder, which need not exist.

    Raises:
      OSError: if nothing says where it is.
    """
    try:
        if chosen := os.environ.get("ATTN_JAX_CACHE"):
            return Path(chosen).expanduser().absolute()
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return (Path(home) / "attn_jax").absolute()
    except (RuntimeError, KeyError) as error:  # no $HOME, and a user without an entry
        raise OSError(f"no home folder, and ATTN_JAX_CACHE is not set: {error}") from error


def load(library: Path) -> ctypes.CDLL:
    """Load a library that is whole and that nobody else can have written.

    Raises:
      Damaged: if it is not whole.
      OSError: if it is not there, not ours, or cannot be loaded.
    """
    with ExitStack() as stack:
        descriptor = os.open(library, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        _check_owner(os.fstat(descriptor), library)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read()
        if hashlib.sha256(content[:-_SEAL]).hexdigest().encode() != content[-_SEAL:]:
            raise Damaged(f"{library} is damaged")
        # The file that was read, whatever has its name now.
        opened = f"/proc/self/fd/{descriptor}"
        try:
            loaded = ctypes.CDLL(opened if os.path.exists(opened) else str(library))
        except OSError as error:
            raise OSError(str(error).replace(opened, str(library))) from error
        # The loader takes a library of the same name for the same one: the number stays taken.
        stack.pop_all()
        return loaded


def _check_owner(status: os.stat_result, library: Path) -> None:
    if not hasattr(os, "getuid"):
        return
    if status.st_uid != os.getuid():
        raise OSError(f"{library} belongs to user {status.st_uid}, not to {os.getuid()}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OSError(f"{library} can be written by others ({stat.filemode(status.st_mode)})")


@contextmanager
def locked(library: Path, *, wait: bool) -> Iterator[int]:
    """Hold the lock under which a library is compiled; gives its file descriptor.

    A process that is started with the descriptor goes on holding the lock. Where the system has no
    such locks, none is held.

    Args:
      library: the path of what is compiled.
      wait: whether to wait for another process.

    Raises:
      BlockingIOError: if another process holds it, and `wait` is False.
      OSError: if the folder cannot be made or written.
    """
    library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(f"{library}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, wait)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, wait: bool) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        pass
