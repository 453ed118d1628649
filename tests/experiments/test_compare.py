"""The command that fills a table: what it trains, what it leaves alone, what it says."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from attn_jax import lock
from attn_jax.records import write_json, write_sealed
from attn_jax.studies import compare
from experiments.cells import config_of
from tests.studies.test_compare_outcomes import result
from tests.studies.test_compare_report import PAIRED, picture
from tests.tiny import ROOT, as_flags, files, small_config

Run = Callable[[str, list[str]], tuple[int, str, str]]

NETS = """
from configs.ram_mnist import get_config

def get_table(arg=None):
    beside = {"arg": "tiny"} if arg is None else {"arg": arg}
    free = {"overrides": {"mechanism.policy": "random"}, **beside}
    return {
        "title": "Nets",
        "figure": "test/error_mean",
        "cells": {
            "ram/R": {**beside, "controls": ["free/R"], "published": 0.0107},
            "ram/TC": {**beside, "overrides": {"data.shift": 2}},
            "free/R": free,
        },
    }
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


class Process(NamedTuple):
    returncode: int
    pid: int = 0

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that were begun; each ends at once, finished, with its own error."""
    names: list[str] = []

    def train(line: Sequence[str], **_: Any) -> Process:
        folder = Path(line[-1].removeprefix("--workdir="))
        config = config_of(line[3:-1])
        folder.mkdir(parents=True)
        names.append(folder.name)
        write_json(folder / "config.json", config)
        more = {"steps": config["train"]["steps"], "parameters": 5, "wall_seconds": 7.0}
        write_sealed(folder / "result.json", result(20 + len(names), **more))
        return Process(0)

    monkeypatch.setattr(subprocess, "Popen", train)
    return names


def table_of(workdir: Path) -> dict[str, Any]:
    plain = json.loads((workdir / "compare.json").read_text())
    return {cell["cell"]: cell for cell in plain["cells"]}


def test_each_cell_is_trained_once_a_seed_and_a_finished_one_is_kept(
    run: Run, nets: Path, trained: list[str], tmp_path: Path
):
    workdir = tmp_path / "runs"
    args = [f"--config={nets}", f"--workdir={workdir}", "--seeds=2"]
    status, out, err = run("compare", args)
    assert (status, err) == (0, "")
    assert trained == [f"{cell},seed={s}" for s in (0, 1) for cell in ("ram,R", "ram,TC", "free,R")]
    text = (workdir / "compare.md").read_text()
    assert out.endswith(text)
    assert "| ram | 4.50 [3.38, 5.97]; published 1.07 | 4.70 [3.55, 6.19] |" in text
    assert table_of(workdir)["ram/R"]["controls"]["free/R"]["difference"][0] == pytest.approx(0.004)
    assert {"report.html", "forest.png"} < {one.name for one in workdir.iterdir()}

    status, out, _ = run("compare", args)
    assert (status, len(trained)) == (0, 6)
    assert "== ram,TC,seed=1: finished\n" in out
    status, out, err = run("compare", [f"--workdir={workdir}", "--table"])
    assert (status, out, err, len(trained)) == (0, text, "", 6)
    one = run("compare", [f"--workdir={workdir}", "--table", "--seeds=1"])[1]
    assert "| ram | 4.20 [2.76, 6.34]; published 1.07 |" in one


def test_cells_are_trained_alone_and_the_rest_is_told_as_not_run(
    run: Run, nets: Path, trained: list[str], tmp_path: Path
):
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--seeds=1"]
    assert run("compare", [*args, "--only=ram/TC"])[0] == 0
    assert trained == ["ram,TC,seed=0"]
    assert table_of(tmp_path / "runs")["free/R"]["seeds"]["0"]["state"] == "not run"
    assert run("compare", [*args, "--only=free,ram/TC"])[0] == 0
    assert trained == ["ram,TC,seed=0", "free,R,seed=0"]
    assert run("compare", [*args, "--only=R"])[0] == 0
    assert trained[2:] == ["ram,R,seed=0"]


def test_a_run_of_another_process_is_left_to_it(
    run: Run, nets: Path, trained: list[str], tmp_path: Path
):
    folder = tmp_path / "runs" / "ram,R,seed=0"
    folder.mkdir(parents=True)
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--seeds=1"]
    with lock.hold(folder):
        status, out, err = run("compare", args)
        assert (status, err) == (0, "")
        assert "== ram,R,seed=0: in progress\n" in out
        assert trained == ["ram,TC,seed=0", "free,R,seed=0"]
        assert table_of(tmp_path / "runs")["ram/R"]["seeds"]["0"]["state"] == "in progress"
    folder.rmdir()
    assert run("compare", args)[0] == 0
    assert trained[2:] == ["ram,R,seed=0"]


def ends_with(monkeypatch: pytest.MonkeyPatch, lines: Mapping[str, str]) -> None:
    """Processes with status 2 that say a line, by the name of their folder."""

    def train(line: Sequence[str], stdout: Any, **_: Any) -> Process:
        name = Path(line[-1].removeprefix("--workdir=")).name
        stdout.write(f"2.5 s\n{lines[name]}\n\n")
        return Process(2)

    monkeypatch.setattr(subprocess, "Popen", train)


def test_a_cell_that_failed_is_told_by_its_line_and_tried_again(
    run: Run, nets: Path, trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--seeds=1"]
    assert run("compare", [*args, "--only=R"])[0] == 0
    with monkeypatch.context() as patch:
        ends_with(patch, {"ram,TC,seed=0": "error: no such data"})
        status, out, err = run("compare", args)
    message = "1 of 3 runs failed: ram,TC,seed=0; ram,TC,seed=0: error: no such data"
    assert (status, err) == (2, f"error: {message}\n")
    assert "| ram/TC |  | failed: error: no such data |" in out
    assert "failed: error: no such data" in run("compare", [*args, "--table"])[1]
    assert run("compare", args)[0] == 0
    assert trained == ["ram,R,seed=0", "free,R,seed=0", "ram,TC,seed=0"]
    assert not list((tmp_path / "runs").glob("*.failed"))


def test_a_run_that_came_second_has_not_failed(
    run: Run, nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "runs" / "ram,TC,seed=0"
    folder.mkdir(parents=True)
    other = lock.hold(folder)

    def train(line: Sequence[str], stdout: Any, **_: Any) -> Process:
        other.__enter__()  # between our look at the folder and the run's own
        stdout.write("error: it is in use by process 7\n")
        return Process(2)

    monkeypatch.setattr(subprocess, "Popen", train)
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--seeds=1", "--only=TC"]
    status, out, err = run("compare", args)
    other.__exit__(None, None, None)
    assert (status, err) == (0, "")
    assert "   ram,TC,seed=0: in progress\n" in out


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", "0, 1, 2"), ("0,4", "0, 4"), ("0", "0"), ("4,", "4")]
)
def test_seeds_are_a_count_or_a_list(
    run: Run, nets: Path, tmp_path: Path, text: str, seeds: str
):  # fmt: skip
    (tmp_path / "runs").mkdir()
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--table", f"--seeds={text}"]
    assert f"each seed ({seeds})" in run("compare", args)[1]


def test_what_all_runs_have_otherwise_belongs_to_the_table(
    run: Run, nets: Path, trained: list[str], tmp_path: Path
):
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--seeds=1"]
    assert run("compare", [*args, "--set=train.batch=4"])[0] == 0
    config = json.loads((tmp_path / "runs" / "ram,R,seed=0" / "config.json").read_text())
    assert config["train"]["batch"] == 4
    assert run("compare", args)[0] == 0  # the folder knows
    assert len(trained) == 3
    free = ["--set=data.path=/elsewhere", "--set=log.pictures=False"]  # as on another machine
    assert run("compare", [*args, "--set=train.batch=4", *free])[0] == 0
    assert len(trained) == 3
    status, _, err = run("compare", [*args, "--set=train.batch=5"])
    assert status == 2
    assert err == (
        f"error: {tmp_path}/runs holds the table of {nets} --set=train.batch=4 {' '.join(free)}; "
        f"got {nets} --set=train.batch=5; give another --workdir\n"
    )


REFUSED = {
    "a cell that is none": ("--config=NETS --only=ram/RC", r"got 'ram/RC'; did you mean 'ram/R'"),
    "a config without a table": (
        "--config=configs/ram_mnist.py", r"ram_mnist.py has no get_table\(\); it returns a dict",
    ),
    "no such file": ("--config=HERE/no.py", "no.py: there is no such Python file"),
    "an argument that is none": ("--config=configs/taxonomy.py:tine", "takes :tiny; got :tine"),
    "a field that is none": ("--config=NETS --set=train.stepz=3", "no field 'stepz'"),
    "a value that is none": ("--config=NETS --set=train.steps=a", "train.steps=a"),
    "a table without a title": ("--config=HERE/bare.py", "bare.py must have .* no title"),
    "a control that is none": ("--config=HERE/wrong.py", "controls of a/b .*'a/c'; did you"),
    "one seed twice": ("--config=NETS --seeds=1,01", "different numbers, 0,4 say; got 1,01"),
    "no seeds": ("--config=NETS --seeds=", "a count, 3 say, or .*; got nothing"),
    "a folder that is not there": ("--config=NETS --table", "HERE/runs: there is no such folder"),
    "the folder of another table": (
        "--config=NETS --workdir=HERE/square", "holds the table of configs/taxonomy.py; got HERE/n",
    ),
    "the folder of a run": ("--config=NETS --workdir=HERE/run", "holds a run, not a table"),
    "a file": ("--config=NETS --workdir=HERE/nets.py", "nets.py cannot be written: File exists"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_one_line_and_leave_nothing(run: Run, nets: Path, tmp_path: Path, name: str):
    args, message = REFUSED[name]
    (tmp_path / "bare.py").write_text("def get_table():\n    return {}")
    cells = {"title": "a", "figure": "b", "cells": {"a/b": {"controls": ["a/c"]}}}
    (tmp_path / "wrong.py").write_text(f"def get_table():\n    return {cells}")
    for folder, file in (("square", "compare.json"), ("run", "config.json")):
        (tmp_path / folder).mkdir()
        write_json(tmp_path / folder / file, {"rows": []})
    before = files(tmp_path)
    args = args.replace("NETS", str(nets)).replace("HERE", str(tmp_path)).split()
    status, _, err = run("compare", [f"--workdir={tmp_path}/runs", *args])
    assert (status, err.count("\n")) == (2, 1), err
    with pytest.raises(ValueError, match=message.replace("HERE", str(tmp_path))):
        raise ValueError(err)  # so that a mismatch is shown as one
    assert files(tmp_path) == before


def test_the_square_is_tested_on_the_same_images_once_all_of_it_is_finished(
    run: Run, trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    compared: list[tuple[list[compare.Cell], dict]] = []

    def made(cells: list[compare.Cell], controls: dict) -> tuple[dict, bytes]:
        compared.append((cells, controls))
        return PAIRED, picture()

    monkeypatch.setattr(compare, "compare", made)
    workdir = tmp_path / "square"
    args = [f"--workdir={workdir}", "--seeds=0,3", "--set=train.steps=5"]
    assert run("compare", [*args, "--only=item_hard/learned"])[0] == 0
    assert (len(trained), compared) == (2, [])
    status, out, _ = run("compare", args)
    assert (status, "+6.00 [+5.00, +7.00]" in out) == (0, True)
    assert len(trained) == len({*trained}) == 20  # one for items weighted alike
    [(cells, controls)] = compared
    assert {path.name for cell in cells for path in cell.runs} == {*trained}
    assert {cell.mechanism for cell in cells if cell.policy == "learned"} == {*controls}
    assert controls["location_hard"] == ["random", "center"]
    assert {path.name for path in workdir.iterdir() if path.is_file()} >= {
        "compare.md", "compare.json", "compare.png", "report.html", "forest.png",
    }  # fmt: skip

    assert run("compare", args)[1].endswith((workdir / "compare.md").read_text())
    assert len(compared) == 1
    assert "+6.00 [+5.00, +7.00]" in run("compare", [f"--workdir={workdir}", "--table"])[1]
    shutil.rmtree(workdir / "item_hard,learned,seed=3")
    assert "+6.00" not in run("compare", [*args, "--table"])[1]


@pytest.mark.slow
def test_real_cells_are_trained_beside_each_other_and_kept(
    run: Run, nets: Path, data: Path, jax_cache: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    free = ("mechanism.policy", "data.shift", "seed")
    given = [flag.removeprefix("--config.") for flag in as_flags(small_config(data))[1:]]
    sets = [f"--set={one}" for one in given if one.partition("=")[0] not in free]
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(jax_cache))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    args = [f"--config={nets}", f"--workdir={tmp_path}/runs", "--seeds=1", "--jobs=2", *sets]
    status, out, err = run("compare", args)
    assert (status, err) == (0, ""), out
    cells = table_of(tmp_path / "runs")
    assert all(cell["seeds"]["0"]["state"] == "finished" for cell in cells.values())
    before = {n: one for n, one in files(tmp_path / "runs").items() if "seed=" in n}
    assert run("compare", args)[0] == 0
    after = files(tmp_path / "runs")
    assert {name: after[name] for name in before} == before
