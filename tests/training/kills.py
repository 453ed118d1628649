"""Runs killed at random moments until they end: python -m tests.training.kills COUNT FOLDER

A run is a fork of this process, which has imported everything and started nothing. It is killed at
a random file operation in its folder, or at a random time after the first one, taken up again, and
compared with one that was left alone. What is measured is a sum over the state, which is quick.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorboardX  # noqa: F401  # here, rather than in each run
from ml_collections import ConfigDict

from attn_jax.systems import system_of
from attn_jax.training import loop
from attn_jax.training.experiment import Conclusion, Experiment, Figures
from attn_jax.training.state import TrainState
from tests.systems.test_dates import dates_of
from tests.tiny import (
    colocalisation_config,
    compiled_once,
    kept,
    result,
    small_config,
    square_config,
    transformer_config,
    write_npz,
)

_TOUCHES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
_SOON = 0.7  # of what a whole run takes: one that goes on takes less


def configs(data: Path) -> dict[str, ConfigDict]:
    """A tiny run of each system, which saves at each of its six calls."""
    often = {"train__steps": 24, "train__checkpoint_seconds": 0.0}
    return {
        "ram": small_config(data, log__tensorboard=True, **often),
        "square": square_config(data, "location_hard", **often),
        "dates": dates_of(data, "hard", **often),
        "spatial_transformer": transformer_config(data, **often),
        "colocalisation": colocalisation_config(data, **often),
    }


def summed(state: TrainState) -> float:
    """A figure that tells two states apart."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(state.params)]
    return float(sum(np.abs(leaf).sum() for leaf in leaves))


def quick(experiment: Experiment) -> Experiment:
    """The experiment, measured at once: compiling its measurements is most of what a run costs."""

    def conclude(state: TrainState) -> Conclusion:
        return Conclusion(Figures([], {"test/sum": summed(state)}, 1), "killed", [], [], {})

    figure = experiment.best.figure
    return experiment._replace(validate=lambda s: {figure: summed(s)}, conclude=conclude)


def train(config: ConfigDict, workdir: Path) -> None:
    plain = config.to_dict()
    system = system_of(plain)
    quickly = system._replace(prepare=lambda sections: quick(system.prepare(sections)))
    loop.train(quickly, plain, workdir)


def forked(config: ConfigDict, workdir: Path, at: int) -> tuple[int, int]:
    """(pid, a pipe) of a run that writes a byte a file operation, and dies at one of them."""
    read, write = os.pipe()
    if pid := os.fork():
        os.close(write)
        return pid, read
    count, folder = 0, str(workdir)

    def operation(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _TOUCHES and str(args[0]).startswith(folder):
            count += 1
            os.write(write, b".")
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        sys.addaudithook(operation)
        train(config, workdir)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(pid: int, pipe: int) -> tuple[int, int]:
    """(exit status, negative if by a signal; how many file operations) of a run that has ended."""
    count = 0
    while some := os.read(pipe, 65536):
        count += len(some)
    os.close(pipe)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), count


def left(workdir: Path) -> dict[str, Any]:
    """Collect all that must be equal bit for bit: states by their digests, rows, figures."""
    notes = {
        step: json.loads((workdir / "checkpoints" / str(step) / "notes/metadata").read_text())
        for step in kept(workdir)
    }
    figures = result(workdir)
    for name in ("wall_seconds", "command", "resumed_from", "digest"):
        del figures[name]
    # A lock may be left of a run that was killed when it had finished.
    names = {str(one.relative_to(workdir)) for one in workdir.rglob("*")} - {"lock"}
    names = {name for name in names if not name.startswith(("checkpoints/", "tb/"))}
    return {
        "states": {step: one["state"] for step, one in notes.items()},
        "best": {step: (one["best_step"], one["best"]) for step, one in notes.items()},
        "rows": {path.name: path.read_text() for path in workdir.glob("*.jsonl")},
        "figures": figures,
        "files": names,
    }


def kill_until_it_ends(
    config: ConfigDict, workdir: Path, operations: int, seconds: float, pick: random.Random
) -> int:
    """How often it was killed until it ended."""
    for kills in range(1000):
        by_time = pick.random() < 0.5
        at = 0 if by_time else pick.randint(1, int(_SOON * operations))
        pid, pipe = forked(config, workdir, at)
        if by_time and os.read(pipe, 1):
            time.sleep(pick.uniform(0, _SOON * seconds))
            os.kill(pid, signal.SIGKILL)
        status, _ = ended(pid, pipe)
        if status == 0:
            return kills
        assert status == -signal.SIGKILL, f"{workdir}: status {status} after {kills} kills"
    raise AssertionError(f"{workdir} does not end")


def fuzz(count: int, folder: Path, say: Callable[[str], None] = print) -> dict[str, int]:
    """Kill `count` times in all, and return how often each system's runs were."""
    data, pick = write_npz(folder / "tiny.npz"), random.Random(0)
    whole, killed = {}, dict.fromkeys(configs(data), 0)
    for name, config in configs(data).items():
        for again in ("cold", "warm"):
            pid, pipe = forked(config, folder / f"{name}-{again}", 0)
            os.read(pipe, 1)
            began = time.monotonic()
            status, operations = ended(pid, pipe)
            assert status == 0
        whole[name] = (operations, time.monotonic() - began, left(folder / f"{name}-warm"))
    while sum(killed.values()) < count:
        name = min(killed, key=lambda one: killed[one])
        operations, seconds, expected = whole[name]
        workdir = folder / f"{name}-killed"
        killed[name] += kill_until_it_ends(configs(data)[name], workdir, operations, seconds, pick)
        assert left(workdir) == expected, f"{workdir} differs"
        shutil.rmtree(workdir)
        say(f"{killed}")
    return killed


if __name__ == "__main__":
    target = Path(sys.argv[2])
    with compiled_once(target / "jax-cache"):
        print(fuzz(int(sys.argv[1]), target))
