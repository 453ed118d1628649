"""A run that was cut short goes on as if it had not been."""

import logging
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from attn_jax.errors import Stopped, UserError
from attn_jax.records import read_json, read_metrics, write_sealed
from attn_jax.runs.load import load
from attn_jax.training import loop
from attn_jax.training.run import Run
from tests.tiny import WHOLE, cut, files, kept, killed, result, rows, same_state, train

Config = Callable[..., ConfigDict]


def same_run(one: Path, other: Path, resumed_from: list[int]) -> None:
    """Bit-identical state, metrics and figures."""
    same_state(load(one, 12).state, load(other, 12).state)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    ours, theirs = result(one), result(other)
    for figures in (ours, theirs):
        del figures["wall_seconds"], figures["command"], figures["digest"]
    assert ours.pop("resumed_from") == resumed_from
    assert theirs.pop("resumed_from") == []
    assert ours == theirs


@pytest.mark.parametrize(
    ("call", "resumed_from"), [(1, []), pytest.param(3, [8], marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_bit_for_bit(
    finished: Path, config_of: Config, tmp_path: Path, call: int, resumed_from: list
):
    killed(config_of(), tmp_path, call)
    assert len(rows(tmp_path)) == call  # one more than the checkpoint knows of
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 16, "train/lo')
    train(config_of(), tmp_path)
    same_run(tmp_path, finished, resumed_from)


def test_all_kinds_of_state_survive_two_kills(whole: Path, config_of: Config, tmp_path: Path):
    killed(config_of(**WHOLE), tmp_path, 2)
    killed(config_of(**WHOLE), tmp_path, 2)  # of what is left
    train(config_of(**WHOLE), tmp_path)
    same_run(tmp_path, whole, [4, 8])
    state = load(tmp_path, 12).state
    assert float(state.carried) > 0
    with pytest.raises(AssertionError):
        same_state(state.average, state.params)


def test_a_damaged_newest_checkpoint_costs_only_the_steps_since_the_one_before(
    finished: Path,
    config_of: Config,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    killed(config_of(train__checkpoint_seconds=0.0), tmp_path, 3)
    assert kept(tmp_path) == [4, 8]
    for file in (tmp_path / "checkpoints" / "8" / "state").rglob("*"):
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)
    with caplog.at_level(logging.WARNING, "attn_jax"):
        train(config_of(train__checkpoint_seconds=0.0), tmp_path)
    assert "step 8" in caplog.text and "going on from step 4" in caplog.text
    same_run(tmp_path, finished, [4])


def test_if_every_checkpoint_is_damaged_the_run_is_refused_and_left_alone(
    finished: Path, config_of: Config, tmp_path: Path
):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    for notes in (workdir / "checkpoints").glob("*/notes"):
        shutil.rmtree(notes)
    before = files(workdir)
    with pytest.raises(UserError, match="checkpoint of step 12 in .* is damaged"):
        train(config_of(), workdir)
    assert files(workdir) == before


def test_a_run_killed_while_it_was_testing_only_tests_again(
    finished: Path, config_of: Config, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    monkeypatch.setattr(loop, "check_finite", None)  # would fail if it trained
    train(config_of(), workdir)
    same_run(workdir, finished, [12])


def test_sigterm_saves_where_it_is_and_the_run_goes_on(
    finished: Path, config_of: Config, tmp_path: Path
):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match=r"SIGTERM: saved step 8 in .*; the same command goes on"):
        cut(config_of(), tmp_path, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) is before
    assert kept(tmp_path)[-1] == 8
    assert not (tmp_path / "result.json").exists()
    notes = tmp_path / "checkpoints" / "8" / "notes" / "metadata"
    write_sealed(notes, {**read_json(notes), "wall_seconds": 5000.0})
    train(config_of(), tmp_path)
    assert result(tmp_path)["wall_seconds"] > 5000  # adds up over interruptions
    same_run(tmp_path, finished, [8])


def test_a_step_that_ends_a_run_is_validated_where_none_was(config_of: Config, tmp_path: Path):
    def config(**changed: int) -> ConfigDict:
        return config_of(evaluate__every=12, **changed)

    with pytest.raises(Stopped):
        cut(config(), tmp_path, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert not [name for row in rows(tmp_path) for name in row if "validation" in name]
    train(config(train__steps=8), tmp_path)
    measured = rows(tmp_path)[-1]
    assert measured["step"] == 8 and "train/loss" not in measured
    assert (result(tmp_path)["best_step"], load(tmp_path).step) == (8, 8)
    assert result(tmp_path)["validation/error_mean"] == measured["validation/error_mean"]
    before = rows(tmp_path)
    (tmp_path / "result.json").unlink()
    train(config(train__steps=8), tmp_path)  # once is enough
    assert rows(tmp_path) == before


def test_other_data_is_refused_by_the_facts_that_differ(
    finished: Path, config_of: Config, tmp_path: Path
):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    for path in (workdir / "checkpoints").glob("*/notes/metadata"):
        notes = read_json(path)
        notes["facts"]["classes"][2] = "two"
        write_sealed(path, notes)
    before = files(workdir)
    with pytest.raises(
        UserError, match=r"holds a run of other data: classes: .*'two'\] there, .*'2'\] now\Z"
    ):
        train(config_of(), workdir)
    assert files(workdir) == before


@pytest.mark.parametrize("content", ["", '{"step": 4}\n{"st', '{"step": 4}\n{"step": 8}\n{"a'])
def test_rows_are_read_up_to_a_step_and_a_half_line_is_left_out(tmp_path: Path, content: str):
    path = tmp_path / "metrics.jsonl"
    path.write_text(content)
    steps = [row["step"] for row in read_metrics(path)]
    assert steps == [4, 8][: content.count("\n")]
    assert [row["step"] for row in read_metrics(path, 4)] == steps[:1]


def test_a_second_process_in_the_folder_of_a_run_is_refused_in_one_line(
    finished: Path, config_of: Config, tmp_path: Path
):
    told: list[str] = []

    def second() -> None:
        before = files(tmp_path)
        with pytest.raises(UserError) as refused:
            train(config_of(), tmp_path)
        told.append(str(refused.value))
        assert files(tmp_path) == before

    cut(config_of(), tmp_path, 2, second)
    assert len(told) == 1 and "\n" not in told[0]
    assert told[0].startswith(f"{tmp_path} is in use by process {os.getpid()} on ")
    same_run(tmp_path, finished, [])
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_run_whose_best_checkpoint_is_damaged_goes_on_with_the_best_that_remains(
    finished: Path, config_of: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    values = {row["step"]: row["validation/error_mean"] for row in rows(workdir)}
    best = load(workdir).step
    for path in (workdir / "checkpoints").glob("*/notes/metadata"):
        notes = read_json(path)  # of a run whose first validation was its best
        write_sealed(path, {**notes, "best_step": 4, "best": 0.0})
    shutil.copytree(workdir / "checkpoints" / "8", workdir / "checkpoints" / "4")
    for file in (workdir / "checkpoints" / "4" / "state").rglob("*"):
        if file.is_file():
            os.truncate(file, file.stat().st_size // 2)
    if damage == "gone":
        shutil.rmtree(workdir / "checkpoints" / "4")
    remaining = min((8, 12), key=lambda step: (values[step], -step))
    with caplog.at_level(logging.WARNING, "attn_jax"):
        assert load(workdir).step == remaining == best
        train(config_of(), workdir)
    said = [r.getMessage() for r in caplog.records if r.name == "attn_jax"]
    assert all("of step 4 in" in one and "\n" not in one for one in said)
    assert all(one.endswith(f"taking step {remaining}, the best that remains") for one in said)
    assert len(said) == 2  # of load, and of the run
    assert result(workdir)["best_step"] == remaining
    assert result(workdir)["validation/error_mean"] == values[remaining]
    assert result(workdir)["test/error_mean"] == result(finished)["test/error_mean"]


def test_a_checkpoint_of_another_run_is_refused_and_left_alone(
    finished: Path, config_of: Config, tmp_path: Path
):
    train(config_of(seed=1, train__steps=8), tmp_path / "other")
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    shutil.rmtree(workdir / "checkpoints" / "8")
    shutil.copytree(tmp_path / "other" / "checkpoints" / "8", workdir / "checkpoints" / "8")
    before = files(workdir)
    message = r"\Athe checkpoint of step 8 in \S* is of another run: its config was another\Z"
    for read in (lambda: train(config_of(), workdir), lambda: load(workdir)):
        with pytest.raises(UserError, match=message):
            read()
    assert files(workdir) == before


def test_sigterm_between_the_last_step_and_the_end_of_the_loop_is_not_lost(
    config_of: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    obeyed: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: obeyed.append(number))
    monkeypatch.setattr(Run, "save", lambda *_: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(loop, "finish", lambda *_: obeyed.append(0) or tmp_path)
    try:
        train(config_of(train__steps=4), tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert obeyed == [signal.SIGTERM, 0]


def test_a_damaged_line_of_the_metrics_costs_that_row_alone(
    finished: Path, config_of: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    workdir = shutil.copytree(finished, tmp_path / "run")
    (workdir / "result.json").unlink()
    lines = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
    (workdir / "metrics.jsonl").write_text(lines[0] + lines[1][10:] + lines[2])
    with caplog.at_level(logging.WARNING, "attn_jax"):
        train(config_of(), workdir)
    assert (workdir / "metrics.jsonl").read_text() == lines[0] + lines[2]
    said = [r.getMessage() for r in caplog.records if r.name == "attn_jax"]
    assert said == [f"line 2 of {workdir}/metrics.jsonl cannot be read; going on without"]
