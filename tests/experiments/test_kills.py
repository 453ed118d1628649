"""Real processes that are killed, terminated, or find the disk full; the same command goes on."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attn_jax import viz
from attn_jax.runs.load import load
from tests.tiny import (
    ROOT,
    as_flags,
    command,
    environment,
    files,
    kept,
    result,
    rows,
    same_state,
    small_config,
)

Run = Callable[[str, list[str]], tuple[int, str, str]]


def interrupted(flags: list[str], workdir: Path, cache: Path, at: int, by: signal.Signals):
    """`experiments.train`, sent a signal once it has saved a step of at least `at`."""
    line = [sys.executable, "-m", "experiments.train", *flags, f"--workdir={workdir}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, cwd=ROOT, env=environment(cache), **pipes) as process:
        while process.poll() is None:
            names = [one.name for one in workdir.glob("checkpoints/*")]
            if max((int(name) for name in names if name.isdigit()), default=0) >= at:
                process.send_signal(by)
                break
            time.sleep(0.005)
        out, err = process.communicate()
    return process.returncode, out, err


def test_a_run_that_is_killed_and_terminated_ends_as_one_that_was_not(
    run: Run, data: Path, jax_cache: Path, tmp_path: Path
):
    config = small_config(data, train__steps=96, train__checkpoint_seconds=0.0)
    flags = as_flags(config)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run("train", [*flags, f"--workdir={whole}"])[0] == 0

    status, _, err = interrupted(flags, cut, jax_cache, 8, signal.SIGKILL)
    assert (status, err) == (-signal.SIGKILL, "")
    first = kept(cut)[-1]
    assert 8 <= first < 96
    status, _, err = interrupted(flags, cut, jax_cache, first + 8, signal.SIGTERM)
    second = kept(cut)[-1]
    assert status == 143
    line = f"stopped: SIGTERM: saved step {second} in {cut}; the same command goes on\n"
    assert err == line
    assert first + 8 <= second < 96
    assert not (cut / "result.json").exists()

    status, _, err = run("train", [*flags, f"--workdir={cut}"])
    assert (status, err) == (0, "")
    same_state(load(cut, 96).state, load(whole, 96).state)
    assert rows(cut) == rows(whole)
    ours, theirs = result(cut), result(whole)
    assert ours["resumed_from"] == [first, second]
    assert {n: v for n, v in ours.items() if n.startswith(("test/", "validation/", "best"))} == {
        n: v for n, v in theirs.items() if n.startswith(("test/", "validation/", "best"))
    }


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does to writes, without one: Python ignores the signal, write() fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def unfinished(finished: Path, tmp_path: Path) -> Path:
    """A run that was killed after step 8."""
    workdir = shutil.copytree(finished, tmp_path / "run")
    for name in ("result.json", "report.html"):
        (workdir / name).unlink()
    shutil.rmtree(workdir / "checkpoints" / "12")
    return workdir


def goes_on(run: Run, flags: list[str], workdir: Path, like: Path) -> None:
    assert run("train", flags)[0] == 0
    assert rows(workdir) == rows(like)
    same_state(load(workdir, 12).state, load(like, 12).state)


def test_a_disk_too_full_for_a_checkpoint_ends_in_one_line_and_leaves_no_half_of_it(
    run: Run, unfinished: Path, finished: Path, tiny_flags: list[str], jax_cache: Path
):
    flags = [*tiny_flags, f"--workdir={unfinished}"]
    before = files(unfinished / "checkpoints")

    # A process of its own: orbax's threads write past whatever a test could capture.
    limited = (
        "import os, resource as r, sys; r.setrlimit(r.RLIMIT_FSIZE, (2500, r.RLIM_INFINITY)); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    line = [sys.executable, "-c", limited, "-m", "experiments.train", *flags]
    pipes = {"capture_output": True, "text": True}
    ended = subprocess.run(line, cwd=ROOT, env=environment(jax_cache), **pipes)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    message = r"error: could not write a checkpoint to \S*/run/checkpoints: .*File too large"
    assert re.match(message, ended.stderr), ended.stderr
    assert files(unfinished / "checkpoints") == before
    goes_on(run, flags, unfinished, finished)


@pytest.mark.parametrize(
    "size",
    [pytest.param(100, marks=pytest.mark.slow, id="config"), pytest.param(30_000, id="report")],
)
def test_a_disk_too_full_for_a_file_ends_in_one_line_and_leaves_no_half_of_it(
    run: Run, unfinished: Path, finished: Path, tiny_flags: list[str], size: int
):  # fmt: skip
    flags = [*tiny_flags, f"--workdir={unfinished}"]
    with pytest.MonkeyPatch.context() as patch, files_of_at_most(size):
        patch.setattr(viz, "render_report", lambda *_: 50_000 * "x")
        status, _, err = run("train", flags)
    assert (status, err) == (2, f"error: could not write to {unfinished}: File too large\n")
    assert not [name for name in files(unfinished) if "partial" in name or "tmp" in name]
    assert not (unfinished / "report.html").exists()
    goes_on(run, flags, unfinished, finished)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_warning(
    unfinished: Path, finished: Path, tiny_flags: list[str], jax_cache: Path
):
    shutil.copytree(finished / "checkpoints" / "12", unfinished / "checkpoints" / "12")
    for file in (unfinished / "checkpoints" / "12" / "state").rglob("*"):
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)
    ended = command(jax_cache, "train", *tiny_flags, f"--workdir={unfinished}")
    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "the checkpoint of step 12 in" in ended.stderr
    assert "going on from step 8" in ended.stderr
    assert result(unfinished)["resumed_from"] == [8]
    assert rows(unfinished) == rows(finished)
