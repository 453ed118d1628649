"""The other commands, from their flags to what they print and write."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from attn_jax import viz
from attn_jax.records import write_sealed
from attn_jax.studies import attention_101, step_time
from attn_jax.studies.sweep import table
from experiments.cells import describe_failures, train_all
from tests.tiny import ROOT, files, result

Run = Callable[[str, list[str]], tuple[int, str, str]]


def test_evaluate_prints_and_writes_the_runs_own_figures(run: Run, finished: Path, tmp_path: Path):
    output = tmp_path / "figures.json"
    status, out, err = run("evaluate", [f"--workdir={finished}", f"--output={output}"])
    assert (status, err) == (0, "")
    figures, expected = json.loads(output.read_text()), result(finished)
    assert {n: figures[n] for n in expected if n.startswith("test/")} == {
        n: v for n, v in expected.items() if n.startswith("test/")
    }
    assert f"step {expected['best_step']} on tiny.npz" in out
    assert f"{100 * expected['test/error_center']:.2f} %" in out
    assert out.count("\n") == 5


def test_evaluate_takes_another_source(run: Run, finished: Path, data: Path):
    args = [f"--workdir={finished}", "--source=npz", f"--path={data}", "--split=validation"]
    status, out, _ = run("evaluate", args)
    assert (status, "(4 examples)" in out) == (0, True)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    levels = np.full((30, 40), 255, np.uint8)
    levels[5:25, 8:14] = 0
    Image.fromarray(levels).save(tmp_path / "digit.png")
    return tmp_path / "digit.png"


def test_infer_reads_pictures_and_draws_where_it_looked(
    run: Run, finished: Path, picture: Path, tmp_path: Path
):
    output = tmp_path / "looked.png"
    args = [f"--workdir={finished}", f"--output={output}", str(picture), str(picture)]
    status, out, err = run("infer", args)
    assert (status, err) == (0, "")
    first, second, last = out.splitlines()
    assert first == second
    assert first.startswith(f"{picture}: ") and first.endswith("   [40x30, stretched to 10x10]")
    assert last == f"where it looked: {output}"
    assert Image.open(output).format == "PNG"


def test_infer_writes_its_answers_and_ends_with_2_if_one_is_missing(
    run: Run, finished: Path, picture: Path, tmp_path: Path
):
    args = [f"--workdir={finished}", f"--output={tmp_path}/a.json", str(picture), "none.png"]
    status, out, err = run("infer", args)
    assert (status, err) == (2, "error: 1 of 2 not read: there is no file none.png\n")
    assert "none.png: not read: there is no file none.png" in out
    answer, refused = json.loads((tmp_path / "a.json").read_text())["answers"]
    assert answer["file"] == str(picture)
    assert set(answer["probabilities"]) == {"0", "1", "2"}
    assert refused == {"file": "none.png", "refused": "there is no file none.png"}
    assert not (tmp_path / "looked.png").exists()


REFUSED = {
    "evaluate without a run": ("evaluate", "--workdir=HERE", "HERE holds no run: there is no conf"),
    "evaluate of no such step": ("evaluate", "--workdir=RUN --step=5", r"steps \[.*12\]; got 5"),
    "evaluate of no such source": ("evaluate", "--workdir=RUN --source=npy", "did you mean 'npz'"),
    "evaluate of no such split": ("evaluate", "--workdir=RUN --split=tests", "split.*tests"),
    "evaluate of a file that is not there": (
        "evaluate", "--workdir=RUN --source=npz --path=HERE/a.npz", "a.npz; there is none",
    ),
    "evaluate into a folder that is not there": (
        "evaluate", "--workdir=RUN --output=HERE/no/a.json", "HERE/no/a.json cannot be written: No",
    ),
    "infer without a run": ("infer", "--workdir=HERE HERE/digit.png", "HERE holds no run"),
    "infer without pictures": ("infer", "--workdir=RUN", "name pictures, or texts"),
    "infer of a file that is not there": (
        "infer", "--workdir=RUN HERE/no.png", "there is no file HERE/no.png",
    ),
    "infer of what is no picture": (
        "infer", "--workdir=RUN HERE/a.txt", "a.txt is not one: its format is unknown",
    ),
    "infer into a folder that is not there": (
        "infer", "--workdir=RUN --output=HERE/no/a.png HERE/digit.png", "a.png cannot be written",
    ),
    "infer without a workdir": ("infer", "HERE/digit.png", "workdir"),
    "sweep of a file that is not there": (
        "sweep", "--config=HERE/no.py --workdir=HERE/sweep", "no.py: there is no such Python file",
    ),
    "sweep of a config without cells": (
        "sweep", "--config=HERE/base.py --workdir=HERE/sweep", r"base.py has no get_hyper\(\)",
    ),
    "sweep of a mechanism that is none": (
        "sweep", "--config=configs/taxonomy.py:nope --workdir=HERE/sweep", "takes :item_soft",
    ),
    "estimators of no tolerance": (
        "estimators", "--workdir=HERE/e --tolerance=nan", "tolerance must be a number; got nan",
    ),
    "compare of one seed twice": (
        "compare", "--workdir=HERE/square --seeds=0,00", "different numbers.*; got 0,00",
    ),
    "compare of no seeds": ("compare", "--workdir=HERE/square --seeds=a,1", "numbers.*; got a,1"),
    "compare of no jobs": ("compare", "--workdir=HERE/square --jobs=0", "jobs"),
    "attention_101 into a file": (
        "attention_101", "--output=HERE/a.txt", "HERE/a.txt cannot be written: File exists",
    ),
    "curves of no run": ("curves", "--output=HERE/c.png", "name folders of runs"),
    "curves of a folder that is none": (
        "curves", "--output=HERE/c.png HERE/no", "HERE/no holds no run: there is no metrics.jsonl",
    ),
    "curves of a run without transformers": (
        "curves", "--output=HERE/c.png RUN", "these runs have no transformers",
    ),
    "benchmark of no such field": ("benchmark", "--config.mechanism.step=3", "no field 'step'"),
    "benchmark of no such name": ("benchmark", "--config.mechanism.read=retna", "mean 'retina'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_one_line_and_leave_nothing(
    run: Run, finished: Path, picture: Path, tmp_path: Path, name: str
):
    command, args, message = REFUSED[name]
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "base.py").write_text("")
    before = files(tmp_path)
    args = args.replace("RUN", str(finished)).replace("HERE", str(tmp_path)).split()
    status, _, err = run(command, args)
    assert (status, err.count("\n")) == (2, 1), err
    with pytest.raises(ValueError, match=message.replace("HERE", str(tmp_path))):
        raise ValueError(err)  # so that a mismatch is shown as one
    assert files(tmp_path) == before


def test_curves_of_runs_are_one_picture(run: Run, tmp_path: Path):
    for name, outside in (("one", 0.1), ("other", 0.95)):
        rows = [{"step": step, "train/outside": outside} for step in (2, 4)]
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    output = tmp_path / "curves.png"
    status, out, err = run(
        "curves", [f"--output={output}", str(tmp_path / "one"), str(tmp_path / "other")]
    )
    assert (status, out, err) == (0, f"{output}\n", "")
    assert output.read_bytes().startswith(b"\x89PNG")


def test_benchmark_prints_and_writes_its_figures(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(step_time, "benchmark", lambda config, calls, started: {"calls": calls})
    output = tmp_path / "a.json"
    status, out, err = run("benchmark", ["--calls=4", f"--output={output}"])
    assert (status, out, err) == (0, "calls  4\n", "")
    assert json.loads(output.read_text()) == {"calls": 4}
    status, _, err = run("benchmark", ["--calls=2"])
    assert (status, err.count("\n")) == (2, 1)


def test_attention_101_draws_every_picture_of_its_table(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attention_101, "PICTURES", {"one": lambda _: viz.recurrence(1)})
    output = tmp_path / "new" / "pictures"
    status, out, err = run("attention_101", [f"--output={output}"])
    assert (status, out, err) == (0, f"{output}/one.png\n", "")
    assert Image.open(output / "one.png").format == "PNG"


CELLS = """
def get_hyper(arg=None):
    return [{"seed": 0}, {"mechanism.policy": "center"}] if arg is None else [{"seed": int(arg)}]
"""


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    (tmp_path / "cells.py").write_text(CELLS)
    return tmp_path / "cells.py"


class Process(NamedTuple):
    returncode: int
    pid: int = 0

    def poll(self) -> int:
        return self.returncode


def stand_in(monkeypatch: pytest.MonkeyPatch, statuses: list[int]) -> list[list[str]]:
    """Cells that end at once, with these statuses; returns the command lines they had."""
    lines: list[list[str]] = []

    def train(line: list[str], **_: object) -> Process:
        lines.append(line)
        status = statuses[len(lines) - 1]
        return Process(status)

    monkeypatch.setattr(subprocess, "Popen", train)
    return lines


def test_a_sweep_trains_each_cell_in_a_folder_of_its_own(
    run: Run, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = stand_in(monkeypatch, [0, 0])
    args = [f"--config={cells}", f"--workdir={tmp_path}/sweep", "--set=train.steps=5"]
    status, out, err = run("sweep", args)
    assert (status, err) == (0, "")
    start = [sys.executable, "-m", "experiments.train", f"--config={cells}"]
    where = f"--workdir={tmp_path}/sweep/"
    assert lines == [
        [*start, "--config.seed=0", "--config.train.steps=5", where + "seed=0"],
        [*start, "--config.mechanism.policy=center", "--config.train.steps=5",
         where + "mechanism.policy=center"],
    ]  # fmt: skip
    table = (tmp_path / "sweep" / "sweep.md").read_text()
    assert out.endswith(table)
    assert table.count("\n") == 4


def test_a_sweep_goes_on_after_a_cell_that_failed_and_says_so(
    run: Run, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = stand_in(monkeypatch, [1, 0])
    status, _, err = run("sweep", [f"--config={cells}", f"--workdir={tmp_path}/sweep"])
    assert (status, err, len(lines)) == (2, "error: 1 of 2 cells failed: seed=0\n", 2)


@pytest.mark.parametrize(("status", "expected"), [(143, 143), (-15, 143), (-9, 137)])
def test_a_sweep_stops_when_a_cell_is_stopped_from_outside(
    run: Run, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    status: int, expected: int,
):  # fmt: skip
    lines = stand_in(monkeypatch, [status, 0])
    assert run("sweep", [f"--config={cells}", f"--workdir={tmp_path}/s"])[0] == expected
    assert len(lines) == 1


def test_a_cell_that_failed_beside_others_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    misspelt = ["--config=configs/ram_mnist.py", "--config.mechanism.sprad=1"]
    failed = train_all({tmp_path / "one": misspelt}, jobs=2)
    said = describe_failures(failed, 1, "cells")
    assert said.startswith("1 of 1 cells failed: one; one: error: the config has no field 'sprad'")


def test_cells_at_a_time_write_what_they_say_to_files(
    run: Run, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    started: list[Path] = []

    def train(line: list[str], stdout, stderr, **_: object) -> Process:
        started.append(Path(stdout.name))
        return Process(0, os.getpid())

    monkeypatch.setattr(subprocess, "Popen", train)
    shares: list[set[int]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: shares.append(cores))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    args = [f"--config={cells}", f"--workdir={tmp_path}/s", "--jobs=2"]
    assert run("sweep", args)[0] == 0
    assert [one.name for one in started] == ["seed=0.txt", "mechanism.policy=center.txt"]
    assert sorted(map(sorted, shares)) == [[0, 2], [1, 3]]


def test_cells_end_with_the_command_that_started_them(
    run: Run, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    class Endless:
        def poll(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        def terminate(self) -> None:
            asked.append("terminate")

        def wait(self) -> None:
            asked.append("wait")

    monkeypatch.setattr(subprocess, "Popen", lambda line, **_: Endless())
    assert run("sweep", [f"--config={cells}", f"--workdir={tmp_path}/s"])[0] == 143
    assert asked == ["terminate", "wait"]


def test_an_argument_of_the_config_reaches_its_cells(
    run: Run, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = stand_in(monkeypatch, [0])
    assert run("sweep", [f"--config={cells}:7", f"--workdir={tmp_path}/s"])[0] == 0
    assert lines[0][3] == f"--config={cells}:7"
    assert lines[0][-1] == f"--workdir={tmp_path}/s/seed=7"


def test_the_table_of_a_sweep_shows_whatever_its_cells_were_tested_by(tmp_path: Path):
    (tmp_path / "seed=0").mkdir()
    figures = {"test/error_m3": 0.02, "test/error_m3_low": 0.01, "test/error_m3_high": 0.03}
    write_sealed(tmp_path / "seed=0" / "result.json", figures | {"wall_seconds": 7.4})
    assert table(tmp_path, [{"seed": 0}, {"seed": 1}]).splitlines() == [
        "| seed | error_m3 | wall s |",
        "| --- | --- | --- |",
        "| 0 | 2.00 [1.00, 3.00] | 7 |",
        "| 1 | - | - |",
    ]


@pytest.mark.slow
def test_a_real_sweep_keeps_its_finished_cells(
    run: Run, tiny_flags: list[str], jax_cache: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    (tmp_path / "cells.py").write_text(f"from configs.ram_mnist import get_config\n{CELLS}")
    sets = [f"--set={flag.removeprefix('--config.')}" for flag in tiny_flags[1:]]
    args = [f"--config={tmp_path}/cells.py", f"--workdir={tmp_path}/sweep", *sets]
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(jax_cache))
    assert run("sweep", args)[0] == 0
    before = files(tmp_path / "sweep")
    status, out, _ = run("sweep", args)
    assert (status, files(tmp_path / "sweep")) == (0, before)
    table = (tmp_path / "sweep" / "sweep.md").read_text()
    assert out.endswith(table)
    assert table.count("%") == 0 and table.count("[") >= 6


def test_real_processes_refuse_as_well():
    for args, message in (
        (["--wrkdir=a"], "wrkdir"),
        (["--config=configs/none.py", "--workdir=a"], "none.py"),
        (["--config=configs/ram_mnist.py", "--workdir=a", "--config.seeed=1"], "seeed"),
    ):
        line = [sys.executable, "-m", "experiments.train", *args]
        ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
        assert message in ended.stderr
