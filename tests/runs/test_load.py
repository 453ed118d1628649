"""A run taken up again from code: its model, its figures, its reading of pictures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

import attn_jax
from attn_jax.errors import UserError
from attn_jax.parts.digits import freeze_split, load_digits
from attn_jax.runs.evaluate import evaluate
from attn_jax.runs.infer import infer
from attn_jax.runs.load import load
from tests.tiny import kept, result, same_state, write_npz

Config = Callable[..., ConfigDict]


def figures_of(results: dict, stem: str = "test/") -> dict:
    return {name: value for name, value in results.items() if name.startswith(stem)}


def test_load_gives_the_best_checkpoint_or_the_one_asked_for(finished: Path):
    assert attn_jax.load(finished).step == result(finished)["best_step"]
    for step in kept(finished):
        loaded = load(str(finished), step)
        assert (loaded.step, int(loaded.state.step)) == (step, step)


def test_the_average_of_weights_is_what_is_loaded_where_there_is_one(finished: Path, whole: Path):
    plain, averaged = load(finished), load(whole)
    same_state(plain.variables["params"], plain.state.params)
    same_state(averaged.variables["params"], averaged.state.average)


def test_applying_a_loaded_model_gives_the_tested_answers(whole: Path):
    loaded = load(whole)
    digits = load_digits(loaded.settings.data)
    (images, labels), key = freeze_split(digits, loaded.settings.data.seed, "test")
    x = jax.numpy.asarray(images / np.float32(255), jax.numpy.float32)
    outputs = loaded.apply(x, key)
    assert outputs.logits.shape == (12, 3, 3)
    wrong = (np.asarray(outputs.logits[:, -1]).argmax(-1) != labels).mean()
    assert wrong == pytest.approx(result(whole)["test/error_mean"])


def test_images_of_another_size_are_refused(finished: Path):
    with pytest.raises(ValueError, match=r"must be \[B, 10, 10, 1\]; got \(2, 9, 10, 1\)"):
        load(finished).apply(jax.numpy.zeros((2, 9, 10, 1)), jax.random.key(0))


def test_evaluating_again_gives_the_runs_own_figures(whole: Path):
    for _ in range(2):
        measured, again = evaluate(whole)
        assert figures_of(again) == figures_of(result(whole))
    assert (again["step"], again["split"], again["examples"]) == (
        result(whole)["best_step"], "test", 12,
    )  # fmt: skip
    assert again["protocol"] == result(whole)["protocol"]
    assert [line.split("  ")[0] for line in measured.lines] == [
        "one rollout at the policy's mean",
        "3 sampled rollouts, averaged",
        "control: random glimpses",
        "control: the centre only",
    ]


def test_other_splits_and_data_can_be_measured(finished: Path, tmp_path: Path):
    _, validation = evaluate(finished, split="validation")
    assert validation["examples"] == 4
    assert validation["validation/error_mean"] == result(finished)["validation/error_mean"]
    _, other = evaluate(finished, source="npz", path=str(write_npz(tmp_path / "b.npz", test=6)))
    assert other["examples"] == 6
    assert "b.npz" in other["data"]


def test_data_of_other_classes_are_refused_by_name(finished: Path, tmp_path: Path):
    labels = (np.arange(40) % 5).astype(np.int32)
    path = write_npz(tmp_path / "b.npz", y_train=labels, y_test=labels[:12])
    with pytest.raises(
        UserError, match=r"\Athe run knows the classes 0, 1, 2; the data have also 3, 4\Z"
    ):
        evaluate(finished, source="npz", path=str(path))


def test_data_may_lack_classes_and_number_them_otherwise(finished: Path, tmp_path: Path):
    path = write_npz(tmp_path / "b.npz")
    arrays = dict(np.load(path))
    _, alike = evaluate(finished, source="npz", path=str(path))
    renamed = {name: 2 - arrays[name] for name in ("y_train", "y_test")}
    names = np.array(["2", "1", "0"])
    path = write_npz(tmp_path / "c.npz", class_names=names, **renamed)
    _, other = evaluate(finished, source="npz", path=str(path))
    assert figures_of(other) == figures_of(alike)
    kept = {name: arrays[name][arrays[f"y_{name[2:]}"] < 2] for name in arrays}
    _, fewer = evaluate(finished, source="npz", path=str(write_npz(tmp_path / "d.npz", **kept)))
    assert fewer["examples"] == 8


def test_changed_data_are_named(finished: Path, tmp_path: Path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((workdir / "config.json").read_text())
    labels = (np.arange(12) % 3).astype(np.int32)[::-1].copy()
    config["data"]["path"] = str(write_npz(tmp_path / "b.npz", y_test=labels))
    (workdir / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"trained on other data: digest: '\w{16}' in the run, '\w{16}' here\Z"
    ):
        evaluate(workdir)


def test_a_run_of_another_version_is_named(finished: Path, tmp_path: Path):
    workdir = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((workdir / "config.json").read_text())
    older = {name: value for name, value in config.items() if name != "system"}
    without = {**config, "mechanism": {}}
    for changed, message in ((older, "no field system"), (without, "no field mechanism.policy")):
        (workdir / "config.json").write_text(json.dumps(changed))
        with pytest.raises(
            UserError, match=rf"\A.* holds a run of another version: .*{message}.*\Z"
        ):
            load(workdir)


def test_a_folder_without_a_run_is_named(finished: Path, tmp_path: Path):
    for call in (load, evaluate, lambda folder: infer(folder, ["a.png"])):
        with pytest.raises(UserError, match=rf"{tmp_path} holds no run: there is no config.json"):
            call(tmp_path)
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"holds checkpoints of steps \[.*12\]; got 5"):
        load(finished, 5)
