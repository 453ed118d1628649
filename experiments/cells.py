"""Runs of a grid: each one `experiments.train` in a folder of its own; finished ones are kept."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import cli, signals

_POLL = 0.1  # seconds


class Failure(NamedTuple):
    """A cell that failed, and its last line of output; "" where that was printed here."""

    name: str
    last_line: str


class Watch(NamedTuple):
    """A command's part in training each cell of a grid.

    Attributes:
      passed: called before a cell begins; why it is not trained now, or "" to train it.
      ended: called after each cell, with why it failed; None if it did not.
      quiet: whether output goes to a .txt beside the cell's folder even if it is alone.
    """

    passed: Callable[[Path], str] = lambda folder: ""
    ended: Callable[[Path, Failure | None], None] = lambda folder, failure: None
    quiet: bool = False


def describe_failures(failed: Sequence[Failure], total: int, what: str) -> str:
    """How many of how many failed, which, and the last line of the first of them."""
    names = ", ".join(one.name for one in failed)
    said = f"; {failed[0].name}: {failed[0].last_line}" if failed[0].last_line else ""
    return f"{len(failed)} of {total} {what} failed: {names}{said}"


def declared(spec: str, function: str, returns: str) -> Any:
    """Call a function of a config file, with the argument after the file's colon if there is one.

    Args:
      spec: the file, as --config names it: FILE or FILE:ARGUMENT.
      function: its name.
      returns: what it returns, for the message.

    Raises:
      UserError: if there is no such file or function, or it refuses the argument.
    """
    from attn_jax.errors import UserError, as_user_errors

    path, _, arg = spec.partition(":")
    found = importlib.util.spec_from_file_location("config", path)
    if found is None or found.loader is None or not Path(path).is_file():
        raise UserError(f"--config={path}: there is no such Python file")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:  # a config is a program, and may raise anything
        raise UserError(f"--config={path} cannot be loaded: {error}") from error
    if not hasattr(module, function):
        raise UserError(f"{path} has no {function}(); it returns {returns}")
    with as_user_errors():
        call = getattr(module, function)
        return call(arg) if arg else call()


def config_of(line: Sequence[str]) -> dict[str, Any]:
    """The config, as plain data, that `experiments.train` makes of these flags.

    Raises:
      UserError: for what it refuses.
    """
    from absl import flags
    from ml_collections import config_flags

    from attn_jax.errors import UserError

    argv, values = ["", *line], flags.FlagValues()
    options = {"flag_values": values, "sys_argv": argv, "lock_config": True}
    try:
        config_flags.DEFINE_config_file("config", None, **options)
        values(argv)
        return values["config"].value.to_dict()
    except Exception as error:  # as above
        raise UserError(cli.describe_flags(error)) from error


def train_all(
    cells: Mapping[Path, Sequence[str]], jobs: int = 1, watch: Watch | None = None
) -> list[Failure]:
    """Train every cell, `jobs` at a time, the cores shared between them.

    Several at a time write their output to a .txt beside their folder. If a cell is stopped from
    outside, or this process is, so are the others. None of them outlives this process.

    Args:
      cells: folder -> flags of `experiments.train`.
      jobs: at least 1.
      watch: what is done about each of them; by default all are trained.

    Returns:
      Those that failed.
    """
    from attn_jax.termination import PutOff

    read, held = os.pipe()  # closed when this process ends, even if it is killed
    try:
        with PutOff() as sigterm:
            return _train_all(list(cells.items()), jobs, watch or Watch(), sigterm.came, read)
    finally:
        os.close(held)
        os.close(read)


def _train_all(
    waiting: list[tuple[Path, Sequence[str]]],
    jobs: int,
    watch: Watch,
    stop: Callable[[], bool],
    alive: int,
) -> list[Failure]:
    from attn_jax.errors import Stopped

    running, failed = {}, []
    slots = [_cores(i, jobs) for i in range(jobs)]
    quiet = watch.quiet or jobs > 1
    try:
        while waiting or running:
            while waiting and slots:
                folder, flags = waiting.pop(0)
                if why := watch.passed(folder):
                    print(f"== {folder.name}: {why}", flush=True)
                    continue
                cores = slots.pop()
                running[_started(folder, flags, cores, quiet, alive)] = folder, cores
            for process in [one for one in running if one.poll() is not None]:
                folder, cores = running.pop(process)
                slots.append(cores)
                status = process.returncode
                status = 128 - status if status < 0 else status  # as a shell counts
                if status > 128:
                    print(f"stopped: {folder.name}, with status {status}", file=sys.stderr)
                    sys.exit(status)
                failure = None
                if status:
                    failure = Failure(folder.name, _last_line(folder) if quiet else "")
                    failed.append(failure)
                watch.ended(folder, failure)
            if stop():
                raise Stopped(f"SIGTERM; {signals.AGAIN}")
            time.sleep(_POLL if running else 0)
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
