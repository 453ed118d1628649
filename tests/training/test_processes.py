"""Two processes of two devices each, over loopback: as one process, lost, stopped, resumed."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.runs.load import load
from tests.tiny import ROOT, as_flags, environment, kept, result, rows, small_config, train

STEPS = 20


@pytest.fixture
def config(data: Path) -> ConfigDict:
    # At this rate no rounding flips a reward, so that every figure is a continuous one.
    return small_config(
        data,
        train__steps=STEPS,
        train__batch=32,
        train__steps_per_call=2,
        train__checkpoint_seconds=0.0,
        evaluate__every=STEPS,  # to compile less before the kill
        optimizer__name="sgd",
        optimizer__momentum=0.0,
    )


TRAIN = ("-m", "experiments.train")
# A process that measures the test set says so, and does not come back.
MEASURES = (
    "import runpy, time\n"
    "from experiments import signals\n"
    "signals.watch()\n"
    "import attn_jax.parts.classification as module\n"
    "def measure(*_, **__):\n    print('measures', flush=True)\n    time.sleep(200)\n"
    "module.measure_all = measure\n"
    "runpy.run_module('experiments.train', run_name='__main__')\n"
)


@contextlib.contextmanager
def processes(
    flags: Sequence[Sequence[str]], cache: Path, program: Sequence[str] = TRAIN
) -> Iterator[list[subprocess.Popen]]:
    """One process of `experiments.train` for each list of flags, joined by their environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    joined = {
        "JAX_PLATFORMS": "cpu",
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": str(len(flags)),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    line = [sys.executable, *program]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen(
            [*line, *mine],
            cwd=ROOT,
            env=environment(cache, **joined, JAX_PROCESS_ID=str(i)),
            **pipes,
        )
        for i, mine in enumerate(flags)
    ]
    try:
        yield started
    finally:
        for one in started:
            one.kill()
            one.communicate()


def ended(started: Sequence[subprocess.Popen]) -> list[tuple[int, str]]:
    """(status, stderr) of each, in their order."""
    errors = [one.communicate(timeout=240)[1] for one in started]
    return [(one.returncode, error) for one, error in zip(started, errors, strict=True)]


def wait_for_step(workdir: Path, step: int, started: Sequence[subprocess.Popen]) -> None:
    while all(one.poll() is None for one in started):
        if workdir.joinpath("checkpoints").exists() and max(steps(workdir), default=0) >= step:
            return
        time.sleep(0.01)
    raise AssertionError([one.communicate() for one in started])


def steps(workdir: Path) -> list[int]:
    names = [one.name for one in workdir.joinpath("checkpoints").iterdir()]
    return [int(name) for name in names if name.isdigit()]


def same_figures(one: Path, other: Path) -> None:
    """Rows and test figures of two runs, up to the order in which sums are added."""
    ours, theirs = rows(one), rows(other)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for name in ("train/loss", "train/cross_entropy", "train/value"):
        mine, their = ([row[name] for row in some] for some in (ours, theirs))
        np.testing.assert_allclose(mine, their, rtol=1e-5)
    for name in ("validation/error_mean", "test/error_mean"):
        assert result(one)[name] == result(other)[name]


@pytest.mark.slow
def test_one_of_two_is_killed_both_end_and_one_device_goes_on_as_if_alone(
    config: ConfigDict, jax_cache: Path, tmp_path: Path
):
    two, one = tmp_path / "two", tmp_path / "one"
    flags = [[*as_flags(config), f"--workdir={two}"]] * 2
    with processes(flags, jax_cache) as started:
        wait_for_step(two, STEPS // 2, started)
        started[1].send_signal(signal.SIGKILL)
        (status, error), (killed, _) = ended(started)
    assert (status, killed) == (75, -signal.SIGKILL), error
    assert "another process of this run has ended; the same command" in error
    assert not (two / "result.json").exists()
    last = kept(two)[-1]
    assert STEPS // 2 <= last < STEPS

    train(config, two)  # on one device of one process
    train(config, one)
    assert result(two)["resumed_from"] == [last]
    same_figures(two, one)


@pytest.mark.slow
def test_one_of_two_is_told_to_stop_both_stop_and_both_go_on(
    config: ConfigDict, jax_cache: Path, tmp_path: Path
):
    two, one = tmp_path / "two", tmp_path / "one"
    flags = [[*as_flags(config), f"--workdir={two}"]] * 2
    with processes(flags, jax_cache) as started:
        wait_for_step(two, 2, started)
        started[1].send_signal(signal.SIGTERM)
        stopped = ended(started)
    last = kept(two)[-1]
    assert [status for status, _ in stopped] == [143, 143], stopped
    for _, error in stopped:
        assert f"stopped: SIGTERM: saved step {last} in {two}; the same command goes" in error

    with processes(flags, jax_cache) as started:
        assert [status for status, _ in ended(started)] == [0, 0]
    train(config, one)
    assert result(two)["resumed_from"] == [last]
    same_figures(two, one)


@pytest.mark.slow
def test_sigterm_while_the_first_of_two_tests_ends_it_at_once_and_then_the_other(
    config: ConfigDict, jax_cache: Path, tmp_path: Path
):
    flags = [[*as_flags(config), f"--workdir={tmp_path}/two"]] * 2
    with processes(flags, jax_cache, ("-c", MEASURES)) as started:
        assert started[0].stdout is not None
        assert any("measures" in said for said in started[0].stdout)
        started[0].send_signal(signal.SIGTERM)
        assert started[0].wait(timeout=10) == 143
        statuses = [status for status, _ in ended(started)]
    assert statuses[1] in (75, 134, -signal.SIGABRT)
    assert not (tmp_path / "two" / "result.json").exists()


def test_what_one_process_refuses_all_refuse(config: ConfigDict, jax_cache: Path, tmp_path: Path):
    flags = [*as_flags(config), f"--workdir={tmp_path}/run"]
    (tmp_path / "file").write_text("")
    elsewhere = f"--workdir={tmp_path}/file/run"
    for other, line in (
        ("--config.seed=1", "the processes have different configs: seed: 0 on process 0, 1 on"),
        (elsewhere, f"process 1: {elsewhere} cannot be a folder: {tmp_path}/file is a file"),
    ):
        with processes([flags, [*flags, other]], jax_cache) as started:
            refused = ended(started)
        assert [status for status, _ in refused] == [2, 2], refused
        assert all(f"error: {line}" in error for _, error in refused), refused
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_state_may_be_split_over_processes(config: ConfigDict, jax_cache: Path, tmp_path: Path):
    with config.unlocked():
        config.train.update(state="sharded", steps=4)
    flags = [[*as_flags(config), f"--workdir={tmp_path}/run"]] * 2
    with processes(flags, jax_cache) as started:
        assert [status for status, _ in ended(started)] == [0, 0]
    train(config, tmp_path / "one")
    two, one = (load(tmp_path / name, 4).state.params for name in ("run", "one"))
    for mine, other in zip(*(jax_leaves(tree) for tree in (two, one)), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def jax_leaves(tree: Any) -> list[np.ndarray]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_joining_nobody_is_one_clear_line(tmp_path: Path, data: Path, jax_cache: Path):
    line = [sys.executable, "-m", "experiments.train", *as_flags(small_config(data))]
    line += [f"--workdir={tmp_path}/run", "--distributed"]
    done = subprocess.run(
        line, cwd=ROOT, env=environment(jax_cache), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "cannot join the other processes: coordinator_address should be" in done.stderr
