"""A lock on a run's folder: one command at a time trains in it."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from attn_jax.errors import UserError


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder that is there, by a file `lock` in it that says who does.

    The system frees the lock of a process that has ended, however it did. Where a file system has
    no locks, the lock of a process that is not there any more is taken over.

    Raises:
      UserError: if another process holds it, naming that process.
    """
    path = folder / "lock"
    file = _open(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before others can lock it
        os.close(file)


def _open(path: Path) -> int:
    """The open file of the lock, which is now ours."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if _is_held(file, path):
                raise UserError(_refusal(path))
            if _is_at(file, path):  # the holder before may have removed it after we opened it
                os.ftruncate(file, 0)
                os.write(file, json.dumps(_myself()).encode())
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_held(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):  # neither the system nor the file system need have locks
        return _is_alive(_holder(path))
    return False


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _myself() -> dict[str, Any]:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _holder(path: Path) -> dict[str, Any]:
    """Read who holds the lock; {} where that cannot be read."""
    try:
        said = json.loads(path.read_text())
        return {"pid": int(said["pid"]), "host": str(said["host"]), "since": str(said["since"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return {}


def _is_alive(holder: dict[str, Any]) -> bool:
    """Whether a process is there; of another host nobody can say that it is not."""
    if not holder or holder["host"] != socket.gethostname():
        return bool(holder)
    try:
        os.kill(holder["pid"], 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return holder["pid"] > 0


def _refusal(path: Path) -> str:
    holder, who = _holder(path), "another process"
    if holder:
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    return f"{path.parent} is in use by {who}; wait for it, end it, or give another --workdir"
