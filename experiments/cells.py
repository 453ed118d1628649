"""Runs of a grid: each one `experiments.train` in a folder of its own; finished ones are kept."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import signals

_POLL = 0.1  # seconds


class Failure(NamedTuple):
    """A cell that failed, and its last line of output; "" where that was printed here."""

    name: str
    last_line: str


def describe_failures(failed: Sequence[Failure], total: int, what: str) -> str:
    """How many of how many failed, which, and the last line of the first of them."""
    names = ", ".join(one.name for one in failed)
    said = f"; {failed[0].name}: {failed[0].last_line}" if failed[0].last_line else ""
    return f"{len(failed)} of {total} {what} failed: {names}{said}"


def train_all(cells: Mapping[Path, Sequence[str]], jobs: int = 1) -> list[Failure]:
    """Train every cell, `jobs` at a time, the cores shared between them.

    Several at a time write their output to a .txt beside their folder. If a cell is stopped from
    outside, or this process is, so are the others. None of them outlives this process.

    Args:
      cells: folder -> flags of `experiments.train`.
      jobs: at least 1.

    Returns:
      Those that failed.
    """
    from attn_jax.termination import PutOff

    read, held = os.pipe()  # closed when this process ends, even if it is killed
    try:
        with PutOff() as sigterm:
            return _train_all(list(cells.items()), jobs, sigterm.came, read)
    finally:
        os.close(held)
        os.close(read)


def _train_all(
    waiting: list[tuple[Path, Sequence[str]]], jobs: int, stop: Callable[[], bool], alive: int
) -> list[Failure]:
    from attn_jax.errors import Stopped

    running, failed = {}, []
    slots = [_cores(i, jobs) for i in range(jobs)]
    try:
        while waiting or running:
            while waiting and slots:
                folder, flags = waiting.pop(0)
                cores = slots.pop()
                running[_started(folder, flags, cores, jobs > 1, alive)] = folder, cores
            for process in [one for one in running if one.poll() is not None]:
                folder, cores = running.pop(process)
                slots.append(cores)
                status = process.returncode
                status = 128 - status if status < 0 else status  # as a shell counts
                if status > 128:
                    print(f"stopped: {folder.name}, with status {status}", file=sys.stderr)
                    sys.exit(status)
                if status:
                    failed.append(Failure(folder.name, _last_line(folder) if jobs > 1 else ""))
            if stop():
                raise Stopped(f"SIGTERM; {signals.AGAIN}")
            time.sleep(_POLL)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    return failed


def _started(
    folder: Path, flags: Sequence[str], cores: set[int] | None, quiet: bool, alive: int
) -> subprocess.Popen:
    print(f"== {folder.name}", flush=True)
    line = [sys.executable, "-m", "experiments.train", *flags, f"--workdir={folder}"]
    options: dict[str, Any] = {
        "env": {**os.environ, signals.PARENT: str(alive)},
        "pass_fds": [alive],
    }
    if not quiet:
        return subprocess.Popen(line, **options)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".txt").open("w") as said:
        process = subprocess.Popen(line, stdout=said, stderr=subprocess.STDOUT, **options)
    if cores:  # before it starts a thread: jax counts the cores it may use
        os.sched_setaffinity(process.pid, cores)
    return process


def _last_line(folder: Path) -> str:
    said = folder.with_name(folder.name + ".txt").read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(said) if line.strip()), "")


def _cores(index: int, jobs: int) -> set[int] | None:
    """An even share of the cores this process may use; None where that cannot be said."""
    if jobs == 1 or not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[index::jobs]) or set(cores)
