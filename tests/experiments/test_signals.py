"""SIGTERM and SIGINT end real commands at once, wherever they land: their line, their status."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import ROOT, as_flags, environment, small_config

AGAIN = "the same command begins again, training from its last checkpoint"
ENDS = {
    signal.SIGTERM: (143, f"stopped: SIGTERM; {AGAIN}\n"),
    signal.SIGINT: (130, f"stopped: interrupted; {AGAIN}\n"),
}

# What a command does when it reaches a place, and which place: whether the main thread can run
# Python there or not, and whether an exception could be raised through it.
SENDS = "import os, signal; os.kill(os.getpid(), signal.{name})"
ACTS = {
    "in Python": SENDS + "; [None for _ in iter(int, 1)]",
    "in C that does not come back": (
        "import hashlib, threading\n"
        "def send():\n    import os, signal, time\n    time.sleep(0.5)\n    {sends}\n"
        "threading.Thread(target=send).start()\n"
        "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
    ),
    "in a callback of jax": (
        "import jax\n"
        "def send():\n    {sends}\n    import time; time.sleep(60)\n"
        "from jax.experimental import io_callback\n"
        "jax.jit(lambda: io_callback(send, None))()\n"
        "jax.effects_barrier()"
    ),
    "where whatever is raised is caught": (
        "try:\n    {sends}\n    while True: pass\nexcept BaseException: pass"
    ),
}
PLACES = {
    "before the first update": ("attn_jax.training.loop", "fresh_state"),
    "while it reads data": ("attn_jax.parts.digits", "load_digits"),
    "while it compiles the update": ("attn_jax.training.loop", "many"),
    "while it tests": ("attn_jax.parts.classification", "measure_all"),
    "at Python's exit": ("atexit", None),
}


def acting(act: str, place: str, number: signal.Signals) -> str:
    """A program that is `experiments.train`, but acts once it comes to the place."""
    sends = SENDS.format(name=number.name)
    body = ACTS[act].format(name=number.name, sends=sends).replace("\n", "\n    ")
    module, name = PLACES[place]
    arranged = f"import {module} as m; m.{name} = act" if name else "atexit.register(act)"
    return (
        f"import atexit, runpy\nfrom experiments import signals\nsignals.watch()\n"
        f"def act(*_, **__):\n    {body}\n{arranged}\n"
        "runpy.run_module('experiments.train', run_name='__main__')\n"
    )


CASES = [(act, "before the first update", signal.SIGTERM) for act in ACTS]
CASES += [("in Python", place, signal.SIGINT) for place in PLACES]


@pytest.mark.parametrize(
    ("act", "place", "number"),
    [
        pytest.param(*case, marks=[] if i in (1, 8) else pytest.mark.slow)
        for i, case in enumerate(CASES)
    ],
)
def test_a_signal_ends_training_wherever_it_lands(
    tiny_flags: list[str], jax_cache: Path, tmp_path: Path,
    act: str, place: str, number: signal.Signals,
):  # fmt: skip
    flags = [*tiny_flags, f"--workdir={tmp_path}/run"]
    line = [sys.executable, "-c", acting(act, place, number), *flags]
    ended = subprocess.run(
        line, cwd=ROOT, env=environment(jax_cache), capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == ENDS[number]
    assert (tmp_path / "run" / "result.json").exists() == (place == "at Python's exit")


def started(jax_cache: Path, command: str, *args: str) -> subprocess.Popen:
    """`python -m experiments.<command> args`, once it has taken the signals over."""
    line = [sys.executable, "-m", f"experiments.{command}", *args]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, cwd=ROOT, env=environment(jax_cache), **pipes)
    while process.poll() is None and not watches(process.pid):
        time.sleep(0.002)
    return process


def watches(pid: int) -> bool:
    """Whether a process has a handler of SIGTERM."""
    said = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in said.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_ends_a_command_from_its_first_imports_on(jax_cache: Path, number: signal.Signals):
    process = started(jax_cache, "train", "--config=configs/ram_mnist.py", "--workdir=unused")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == ENDS[number]


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_runs_behind(
    tiny_flags: list[str], jax_cache: Path, tmp_path: Path
):
    (tmp_path / "cells.py").write_text(
        "from configs.ram_mnist import get_config\n"
        "def get_hyper():\n    return [{'seed': 0}, {'seed': 1}]\n"
    )
    sets = [f"--set={flag.removeprefix('--config.')}" for flag in tiny_flags[1:]]
    sets += ["--set=train.steps=100000", "--set=train.checkpoint_seconds=0.0"]
    where = [f"--config={tmp_path}/cells.py", f"--workdir={tmp_path}/sweep", "--jobs=2"]
    process = started(jax_cache, "sweep", *where, *sets)
    folders = [tmp_path / "sweep" / f"seed={seed}" for seed in (0, 1)]
    wait_until(lambda: all(any(one.glob("checkpoints/[0-9]*")) for one in folders), 120)
    runs = children(process.pid)
    assert len(runs) == 2
    process.kill()
    process.communicate()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in runs), 10)
    line = f"stopped: the command that started this run has ended; {AGAIN}"
    for folder in folders:
        assert folder.with_name(folder.name + ".txt").read_text().splitlines()[-1] == line


def wait_until(done, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commands(tmp_path: Path, finished: Path, data: Path) -> dict[str, Sequence[str]]:
    """Every command that trains or reads a run, and what of the rest takes a while."""
    picture = tmp_path / "digit.png"
    Image.fromarray(np.full((30, 40), 200, np.uint8)).save(picture)
    tiny = as_flags(small_config(data, log__pictures=True))
    sets = [f"--set={flag.removeprefix('--config.')}" for flag in tiny[1:]]
    (tmp_path / "cells.py").write_text(
        "from configs.ram_mnist import get_config\ndef get_hyper():\n    return [{'seed': 0}]\n"
    )
    return {
        "train": [*tiny, f"--workdir={tmp_path}/NEW"],
        "evaluate": [f"--workdir={finished}"],
        "infer": [f"--workdir={finished}", f"--output={tmp_path}/looked.png", str(picture)],
        "sweep": [f"--config={tmp_path}/cells.py", f"--workdir={tmp_path}/NEW", *sets],
        "compare": [f"--workdir={tmp_path}/NEW", "--seeds=0", "--set=train.steps=4"],
        "benchmark": [*tiny, "--calls=3"],
        "attention_101": [f"--output={tmp_path}/pictures"],
        "estimators": [f"--workdir={tmp_path}/NEW"],
        "conformance": [f"--output={tmp_path}/conformance.md"],
    }


@pytest.mark.slow
def test_signals_at_random_moments_end_every_command(
    finished: Path, data: Path, jax_cache: Path, tmp_path: Path
):
    """ATTN_JAX_SIGNALS tries of each command, 5 by default, within its first 8 s."""
    pick, tries = random.Random(0), int(os.environ.get("ATTN_JAX_SIGNALS", "5"))
    late: list[float] = []
    for command, args in commands(tmp_path, finished, data).items():
        for i in range(tries):
            flags = [arg.replace("NEW", f"{command}{i}") for arg in args]
            number = pick.choice([*ENDS])
            process = started(jax_cache, command, *flags)
            time.sleep(pick.uniform(0, 8))
            process.send_signal(number)
            began = time.monotonic()
            _, err = process.communicate(timeout=60)
            late.append(time.monotonic() - began)
            told = (process.returncode, err)
            done = told == (0, "")
            saved = command == "train" and told[0] == 143 and "SIGTERM: saved step" in err
            stopped = told == ENDS[number] or (
                # The run within it says so too, or that it is left alone.
                command in ("sweep", "compare") and told[0] == ENDS[number][0]
                and all(line.startswith("stopped: ") for line in err.splitlines())
            )  # fmt: skip
            assert done or saved or stopped, (command, flags, number, told)
    print(f"{len(late)} signals, the slowest obeyed after {max(late):.2f} s")
