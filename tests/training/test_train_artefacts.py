"""What a run leaves behind, and what a second command in its folder does."""

import re
import sys
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.errors import UserError
from attn_jax.fields import as_json
from attn_jax.records import read_json
from attn_jax.training import finish
from tests.tiny import WHOLE, files, kept, result, rows, train

Config = Callable[..., ConfigDict]
TERMS = ("loss", "cross_entropy", "policy", "value", "entropy", "error", "gradient_norm")
POLICIES = ("mean", "m3", "random", "center")


@pytest.fixture
def run(whole: Path) -> Path:
    return whole


def test_a_run_leaves_all_it_promises_and_nothing_half_written(run: Path):
    promised = {"checkpoints", "config.json", "metrics.jsonl", "pictures", "report.html"}
    assert {one.name for one in run.iterdir()} == promised | {"result.json", "tb"}
    assert not [name for name in files(run) if "partial" in name or "tmp" in name]


def test_config_json_is_the_config(run: Path, config_of: Config):
    expected = as_json(config_of(**WHOLE).to_dict())
    assert read_json(run / "config.json") == expected


def test_result_is_flat_and_carries_figures_with_intervals(run: Path):
    figures = result(run)
    for policy in POLICIES:
        error, low, high = (figures[f"test/error_{policy}{end}"] for end in ("", "_low", "_high"))
        assert 0 <= low <= error <= high <= 1
        assert round(error * 12, 9).is_integer()  # of 12 test images
    lists = {name for name, value in figures.items() if not isinstance(value, int | float | str)}
    assert lists == {"resumed_from", "warnings"}


def test_result_says_how_it_was_made(run: Path):
    figures = result(run)
    assert (figures["steps"], figures["seed"]) == (12, 0)
    assert figures["resumed_from"] == []
    assert figures["wall_seconds"] > 0
    assert (
        "3 glimpses of 4x4" in figures["protocol"]
        and "centered 10x10, composites of seed 1" in figures["protocol"]
    )
    assert "36 train, 4 validation, 12 test" in figures["data"]
    assert {"version/jax", "version/flax", "version/python", "device"} <= figures.keys()


def test_best_step_is_the_last_of_the_lowest_validation_errors(run: Path):
    errors = {row["step"]: row["validation/error_mean"] for row in rows(run)}
    lowest = min(errors.values())
    assert result(run)["best_step"] == max(s for s, error in errors.items() if error == lowest)
    assert result(run)["validation/error_mean"] == lowest


def test_metrics_have_a_row_a_call_of_finite_numbers(run: Path):
    assert [row["step"] for row in rows(run)] == [4, 8, 12]
    for row in rows(run):
        assert {f"train/{name}" for name in (*TERMS, "spread", "learning_rate")} <= row.keys()
        assert all(np.isfinite(value) for value in row.values())
        assert row["train/gradient_norm"] > 0


def test_the_loss_is_the_sum_of_its_terms_in_every_row(run: Path):
    for row in rows(run):
        total = sum(row[f"train/{name}"] for name in ("cross_entropy", "policy", "value"))
        assert row["train/loss"] == pytest.approx(total + row["train/entropy"], rel=1e-5)


def test_spread_and_learning_rate_of_a_row_are_means_over_its_updates(run: Path):
    steps = np.arange(12).reshape(3, 4)
    sigma = (0.1 - 0.05 * steps / 12).mean(1)
    rate = (1e-3 * 0.5 * (1 + np.cos(np.pi * steps / 12))).mean(1)
    np.testing.assert_allclose([row["train/spread"] for row in rows(run)], sigma, rtol=1e-5)
    np.testing.assert_allclose([row["train/learning_rate"] for row in rows(run)], rate, rtol=1e-5)


def test_report_stands_alone(run: Path):
    page = (run / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'>\s]{1,40})""", page)
    assert len(sources) >= 4
    assert all(one.startswith(("data:", "#")) for one in sources)
    assert not re.search(r"https?://|url\(|@import|<script", page)
    for value in (*POLICIES[:1], "control: random glimpses", "36 train, 4 validation"):
        assert value in page
    assert f"{100 * result(run)['test/error_mean']:.2f} %" in page


def test_tensorboard_has_the_rows(run: Path):
    [events] = (run / "tb").iterdir()
    content = events.read_bytes()
    assert all(f"train/{name}".encode() in content for name in TERMS)
    assert b"validation/error_mean" in content


def test_the_latest_two_and_the_best_checkpoints_are_kept(run: Path):
    assert set(kept(run)) == {8, 12, result(run)["best_step"]}


def test_a_finished_run_says_so_and_touches_nothing(
    run: Path, config_of: Config, capsys: pytest.CaptureFixture
):
    before = files(run)
    train(config_of(**WHOLE), run)
    assert "is finished: see" in capsys.readouterr().out
    assert files(run) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "seed: 0 there, 1 now"),
        (
            {"mechanism__steps": 4, "train__batch": 4},
            r"mechanism.steps: 3 there, 4 .*batch: 8 there, 4",
        ),
        ({"model__core_widths": (8, 8)}, r"model.core_widths: \[8\] there, \[8, 8\] now"),
    ],
)
def test_another_config_is_refused_by_the_names_of_its_fields(
    finished: Path, config_of: Config, changed: dict, message: str
):
    before = files(finished)
    with pytest.raises(UserError, match=rf"holds a run of another config: .*{message}"):
        train(config_of(**changed), finished)
    assert files(finished) == before


def test_more_steps_go_on_with_a_finished_run(config_of: Config, tmp_path: Path):
    train(config_of(train__steps=6), tmp_path)
    before = rows(tmp_path)
    train(config_of(), tmp_path)
    assert rows(tmp_path)[:2] == before
    # From 6, which is no multiple of a call, the calls fall in with the validations again.
    assert [row["step"] for row in rows(tmp_path)] == [4, 6, 8, 12]
    assert all("validation/error_mean" in row for row in rows(tmp_path))
    assert (result(tmp_path)["steps"], result(tmp_path)["resumed_from"]) == (12, [6])


def test_fewer_steps_than_there_are_is_refused(finished: Path, config_of: Config):
    before = files(finished)
    with pytest.raises(UserError, match=r"is at step 12; train.steps must be at least that; got 8"):
        train(config_of(train__steps=8), finished)
    assert files(finished) == before


def test_a_run_keeps_the_command_it_was_given(monkeypatch: pytest.MonkeyPatch):
    main = types.ModuleType("__main__")
    main.__spec__ = ModuleSpec("experiments.train", None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["train.py", "--config=configs/a.py", "--workdir=my runs"])
    expected = "python -m experiments.train --config=configs/a.py '--workdir=my runs'"
    assert finish._command() == expected
