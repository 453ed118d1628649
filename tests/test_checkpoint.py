"""Checkpoints: what is kept, what counts as damaged, and where reading goes on."""

import errno
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from attn_jax import cluster
from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import UserError
from tests.tiny import Killed, files, same_state


def state_of(step: int) -> dict:
    random = np.random.default_rng(step)
    weights = random.normal(size=(4, 3)).astype(np.float32)
    return {"weights": weights, "step": np.int32(step), "nothing": (), "half": np.float16(0.1)}


LIKE = jax.tree.map(jax.numpy.zeros_like, state_of(0))


def saved(folder: Path, *steps: int, best: int | None = None, run: str = "") -> Checkpoints:
    folder.mkdir(exist_ok=True)
    checkpoints = Checkpoints(folder, run)
    for step in steps:
        checkpoints.save(step, state_of(step), {"best_step": best, "said": "é"})
    return checkpoints


def test_a_state_comes_back_bit_for_bit_with_its_notes(tmp_path: Path):
    saved(tmp_path, 3)
    state, notes = Checkpoints(tmp_path).restore(3, LIKE)
    same_state(state, state_of(3))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {
        np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.float16)
    }  # fmt: skip
    assert (notes["best_step"], notes["said"]) == (None, "é")
    assert Checkpoints(tmp_path).notes(3) == notes


@pytest.mark.parametrize(
    ("best", "kept"), [(None, [4, 5]), (2, [2, 4, 5]), (4, [4, 5]), (5, [4, 5])]
)
def test_the_latest_two_and_the_best_are_kept(tmp_path: Path, best: int | None, kept: list[int]):
    assert saved(tmp_path, 1, 2, 3, 4, 5, best=best).steps() == kept
    assert sorted(int(one.name) for one in tmp_path.iterdir()) == kept


def test_a_step_that_is_saved_already_is_left_alone(tmp_path: Path):
    checkpoints = saved(tmp_path, 1)
    checkpoints.save(1, state_of(2), {"best_step": None})
    same_state(checkpoints.restore(1, LIKE)[0], state_of(1))


def test_a_folder_without_checkpoints_gives_none(tmp_path: Path):
    assert saved(tmp_path).restore_latest(LIKE) is None


def test_a_save_that_was_killed_halfway_does_not_count(tmp_path: Path):
    saved(tmp_path, 1, 2)
    shutil.copytree(tmp_path / "2", tmp_path / "3.orbax-checkpoint-tmp-17")
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.steps() == [1, 2]
    found = checkpoints.restore_latest(LIKE)
    assert found is not None
    same_state(found[0], state_of(2))
    checkpoints.save(3, state_of(3), {"best_step": None})
    assert Checkpoints(tmp_path).steps() == [2, 3]


def _each_file(folder: Path, change: Callable[[bytes], bytes]) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(change(file.read_bytes()))


def _flip(content: bytes) -> bytes:
    return bytes(byte ^ 0x5A for byte in content)


def _note(folder: Path, **changed: object) -> None:
    """Change notes, without their digest."""
    notes = folder / "notes" / "metadata"
    notes.write_text(json.dumps({**json.loads(notes.read_text()), **changed}))


DAMAGE = {
    "state emptied": lambda folder: _each_file(folder / "state", lambda _: b""),
    "state cut": lambda folder: _each_file(folder / "state", lambda b: b[: len(b) // 2]),
    "state flipped": lambda folder: _each_file(folder / "state", _flip),
    "state gone": lambda folder: shutil.rmtree(folder / "state"),
    "state's files gone": lambda f: [one.unlink() for one in (f / "state").iterdir()
                                     if one.is_file()],
    "notes gone": lambda folder: shutil.rmtree(folder / "notes"),
    "notes cut": lambda folder: _each_file(folder / "notes", lambda b: b[: len(b) // 2]),
    "notes no object": lambda folder: (folder / "notes" / "metadata").write_text("[1]"),
    "all of it gone": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
    "notes a list": lambda folder: (folder / "notes" / "metadata").write_text("[" * 5000),
    "digest differs": lambda folder: _note(folder, digest="0" * 64),
    "state's digest differs": lambda folder: _note(folder, state="0" * 64),
    "best differs": lambda folder: _note(folder, best_step=1),
    "step differs": lambda folder: _note(folder, step=1),
    "of another step": lambda folder: [shutil.rmtree(folder),
                                       shutil.copytree(folder.parent / "1", folder)],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
):
    saved(tmp_path, 1, 2)
    damage(tmp_path / "2")
    checkpoints = Checkpoints(tmp_path)
    with caplog.at_level(logging.WARNING, "attn_jax"):
        found = checkpoints.restore_latest(LIKE)
    assert found is not None
    same_state(found[0], state_of(1))
    [warning] = [r.getMessage() for r in caplog.records if r.name == "attn_jax"]
    assert "checkpoint of step 2" in warning and warning.endswith("going on from step 1")
    assert "\n" not in warning
    checkpoints.save(2, state_of(2), {"best_step": None})  # its place is free again
    same_state(Checkpoints(tmp_path).restore(2, LIKE)[0], state_of(2))


@pytest.mark.parametrize("name", ["state cut", "notes gone", "digest differs"])
def test_if_all_are_damaged_the_newest_is_named(tmp_path: Path, name: str):
    saved(tmp_path, 1, 2)
    for step in (1, 2):
        DAMAGE[name](tmp_path / str(step))
    with pytest.raises(UserError, match=r"\Athe checkpoint of step 2 in [^\n]* is damaged:.*\Z"):
        Checkpoints(tmp_path).restore_latest(LIKE)


def test_a_checkpoint_of_another_model_is_not_taken_for_this_one(tmp_path: Path):
    saved(tmp_path, 1)
    with pytest.raises(UserError, match=r"step 1 in .* is of a model of other shapes"):
        Checkpoints(tmp_path).restore(1, {**LIKE, "weights": np.zeros((5, 3), np.float32)})


def test_a_best_that_a_kept_checkpoint_names_is_kept_for_who_goes_on_from_there(tmp_path: Path):
    checkpoints = saved(tmp_path, 100, 200, best=100)
    checkpoints.save(300, state_of(300), {"best_step": 300})
    assert checkpoints.steps() == [100, 200, 300]
    DAMAGE["state cut"](tmp_path / "300")
    found = checkpoints.restore_latest(LIKE)
    assert found is not None and found[1]["best_step"] == 100
    same_state(checkpoints.restore(100, LIKE)[0], state_of(100))


@pytest.mark.parametrize("name", ["notes gone", "notes cut", "notes no object"])
def test_damaged_notes_keep_nothing_and_stop_nothing(tmp_path: Path, name: str):
    checkpoints = saved(tmp_path, 1, 2, best=1)
    DAMAGE[name](tmp_path / "2")
    checkpoints.save(3, state_of(3), {"best_step": 3})
    assert checkpoints.steps() == [2, 3]


def test_the_notes_of_a_saved_step_can_be_written_again(tmp_path: Path):
    checkpoints = saved(tmp_path, 1)
    checkpoints.save(1, state_of(1), {"best_step": 1})
    state, notes = Checkpoints(tmp_path).restore(1, LIKE)
    same_state(state, state_of(1))
    assert (notes["best_step"], notes["said"]) == (1, "é")


PASSING = {
    "a disk that does not answer": (OSError(errno.EIO, "input/output error"), UserError),
    "a lost process": (RuntimeError("Gloo: connection closed"), RuntimeError),
}


@pytest.mark.parametrize("name", PASSING)
def test_an_error_that_may_pass_costs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    error, raised = PASSING[name]
    checkpoints = saved(tmp_path, 1, 2)
    before = files(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cluster, "joined", lambda: True)
    monkeypatch.setattr(checkpoints._manager, "restore", fail)
    with pytest.raises(raised, match=r"step 2 in .* cannot be read|Gloo"):
        checkpoints.restore_latest(LIKE)
    assert files(tmp_path) == before


def test_a_checkpoint_of_other_shapes_is_refused_and_left_alone(tmp_path: Path):
    checkpoints = saved(tmp_path, 1, 2)
    before = files(tmp_path)
    with pytest.raises(UserError, match=r"step 2 in .* is of a model of other shapes"):
        checkpoints.restore_latest({**LIKE, "weights": np.zeros((5, 3), np.float32)})
    assert files(tmp_path) == before


def test_a_checkpoint_of_another_run_is_refused_in_one_line_and_left_alone(tmp_path: Path):
    saved(tmp_path, 1, 2, run="one")
    before = files(tmp_path)
    message = r"\Athe checkpoint of step 2 in \S* is of another run: its config was another\Z"
    for read in (
        lambda some: some.restore(2, LIKE),
        lambda some: some.restore_latest(LIKE),
        lambda some: some.notes(2),
        lambda some: some.noted(2, "best_step"),
    ):
        with pytest.raises(UserError, match=message):
            read(Checkpoints(tmp_path, "other"))
    with pytest.raises(UserError, match=message.replace("2", r"\d")):
        Checkpoints(tmp_path, "other").restore_best(LIKE)
    assert files(tmp_path) == before


def measured(folder: Path, values: dict[int, float | None], lower: bool = True) -> Checkpoints:
    """Checkpoints with a validation each, or none, where None."""
    checkpoints, best, last = Checkpoints(folder), None, {}
    for step, value in values.items():
        if value is not None:
            last = {"validated": step, "value": value}
            if best is None or (value <= values[best]) == lower:
                best = step
        checkpoints.save(step, state_of(step), {**last, "lower": lower, "best_step": best})
    return checkpoints


BEST = {
    "the best": ({1: 0.1, 2: 0.3, 3: 0.2}, [], True, 1),
    "the best damaged": ({1: 0.1, 2: 0.3, 3: 0.2}, [1], True, 3),
    "the best of higher ones": ({1: 0.9, 2: 0.3, 3: 0.2}, [1], False, 2),
    "the newest damaged as well": ({1: 0.1, 2: 0.3, 3: 0.2}, [1, 3], True, 2),
    "the newest of equals": ({1: 0.1, 2: 0.3, 3: 0.3}, [1], True, 3),
    "one that was measured": ({1: 0.1, 2: 0.3, 3: None}, [1], True, 2),
    "one that is a number": ({1: 0.1, 2: 0.3, 3: float("nan")}, [1], True, 2),
    "none measured": ({2: None, 3: None}, [], True, 3),
}


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("name", BEST)
def test_the_best_that_remains_is_taken_and_said_to_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, gone: bool
):
    values, bad, lower, expected = BEST[name]
    measured(tmp_path, values, lower)
    for step in bad:
        shutil.rmtree(tmp_path / str(step)) if gone else DAMAGE["state cut"](tmp_path / str(step))
    with caplog.at_level(logging.WARNING, "attn_jax"):
        state, _ = Checkpoints(tmp_path).restore_best(LIKE)
    same_state(state, state_of(expected))
    said = [r.getMessage() for r in caplog.records if r.name == "attn_jax"]
    if 1 in bad and not (gone and len(bad) == 2):  # else nobody knows of it any more
        assert len(said) == 1 and "\n" not in said[0]
        assert re.search(r"step 1 in \S* is (not there|damaged)", said[0])
        assert said[0].endswith(f"; taking step {expected}, the best that remains")
    elif not bad:
        assert said == []


def test_what_a_kill_left_is_swept_when_a_run_goes_on(tmp_path: Path):
    """A save ends by deleting: a kill before leaves too many, one meanwhile half a checkpoint."""
    checkpoints = saved(tmp_path, 1, 2, best=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_keep", lambda *_: None)
        for step in (3, 4, 5):
            checkpoints.save(step, state_of(step), {"best_step": 3})
    (tmp_path / "4.orbax-checkpoint-tmp-deleted").mkdir()
    found = Checkpoints(tmp_path).restore_latest(LIKE)
    assert found is not None
    same_state(found[0], state_of(5))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["3", "4", "5"]


def test_a_kill_while_one_is_deleted_leaves_it_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved(tmp_path, 1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            saved(tmp_path, 3)
    assert Checkpoints(tmp_path).steps() == [2, 3]
