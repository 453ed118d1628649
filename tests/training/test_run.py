"""Names, folders and files of a run: what is refused, and in which words."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import UserError, as_user_errors, pick
from attn_jax.fields import as_json
from attn_jax.modules import CORES
from attn_jax.records import read_json, write_atomically, write_json, write_sealed
from attn_jax.studies.sweep import cell_name, table
from attn_jax.systems import system_of
from attn_jax.training import loop
from attn_jax.training.run import Run, check_workdir, finished
from attn_jax.training.writers import Progress
from configs.ram_mnist import get_config
from tests.tiny import prepared


def changed(**values: object) -> dict:
    config = get_config()
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in values.items()})
    return as_json(config.to_dict())


def test_a_config_survives_its_file(tmp_path: Path):
    write_json(tmp_path / "config.json", changed())
    assert read_json(tmp_path / "config.json") == changed()
    check_workdir(tmp_path, changed())


@pytest.mark.parametrize(
    "change",
    [
        {"train__steps": 9},
        {"log__progress": False},
        {"log__tensorboard": False},
        {"data__path": "other"},
    ],
)
def test_only_length_logging_and_the_place_of_the_data_may_change(tmp_path: Path, change: dict):
    write_json(tmp_path / "config.json", changed())
    check_workdir(tmp_path, changed(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"train__steps_per_call": 9},
        {"train__checkpoint_seconds": 1.0},
        {"mechanism__spread_end": 0.02},
        {"evaluate__every": 50},
    ],
)
def test_any_other_field_is_named_with_both_values(tmp_path: Path, change: dict):
    write_json(tmp_path / "config.json", changed())
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    [(field, now)] = change.items()
    field = field.replace("__", ".")
    with pytest.raises(UserError, match=rf"another config: {field}: .* there, {now!r} now\Z"):
        check_workdir(tmp_path, changed(**change))


def test_nothing_is_held_to_a_config_whose_run_has_saved_nothing(tmp_path: Path):
    write_json(tmp_path / "config.json", changed())
    (tmp_path / "checkpoints" / "4.orbax-checkpoint-tmp").mkdir(parents=True)
    check_workdir(tmp_path, changed(seed=7))
    write_json(tmp_path / "result.json", {})
    with pytest.raises(UserError, match="another config: seed: 0 there, 7 now"):
        check_workdir(tmp_path, changed(seed=7))


def test_a_field_that_only_one_of_them_has_is_named(tmp_path: Path):
    write_json(tmp_path / "config.json", changed())
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    there = read_json(tmp_path / "config.json")
    del there["train"]["batch"]
    (tmp_path / "config.json").write_text(json.dumps(there))
    with pytest.raises(
        UserError, match=rf"train.batch: None there, {changed()['train']['batch']} now"
    ):
        check_workdir(tmp_path, changed())


@pytest.mark.parametrize("content", ["", "{", "nonsense"])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: str):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"\A.*config.json cannot be read: .*\Z"):
        check_workdir(tmp_path, changed())


@pytest.mark.parametrize("where", ["file", "file/run", "file/deep/run"])
def test_a_workdir_at_or_below_a_file_is_refused(tmp_path: Path, where: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be a folder: .*/file is a file"):
        check_workdir(tmp_path / where, changed())


def test_a_run_is_finished_at_the_steps_of_its_result(tmp_path: Path):
    assert not finished(tmp_path, 5)
    write_sealed(tmp_path / "result.json", {"steps": 5})
    assert finished(tmp_path, 5)
    assert not finished(tmp_path, 6)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            write_atomically(path, "new")
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, TypeError, PermissionError, ModuleNotFoundError])
def test_what_data_and_names_refuse_is_the_users_to_mend(error: type[Exception]):
    with pytest.raises(UserError, match="why"), as_user_errors():
        raise error("why")


def test_bugs_stay_bugs():
    with pytest.raises(ZeroDivisionError), as_user_errors():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("name", "end"), [("lsm", r"'lsm'; did you mean 'lstm'\?"), ("zzz", "'zzz'")]
)
def test_an_unknown_name_lists_the_valid_ones_and_the_nearest(name: str, end: str):
    with pytest.raises(ValueError, match=rf"\Amodel.core must be one of relu.*, lstm; got {end}\Z"):
        pick(CORES, name, "model.core")
    assert pick(CORES, "gru", "model.core") is CORES["gru"]


def test_a_run_of_an_older_version_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"dtype": "float32", "model": {"name": "ram"}}')
    message = r"\A.* holds a run of an older version, whose config has no 'system'; give .*\Z"
    with pytest.raises(UserError, match=message):
        check_workdir(tmp_path, changed())


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ({}, "base"),
        ({"seed": 1}, "seed=1"),
        ({"seed": 1, "train.rollouts": 4}, "seed=1,train.rollouts=4"),
        ({"data.path": "/a b/c", "x": (1, 2)}, "data.path=_a_b_c,x=_1,_2_"),
    ],
)
def test_cells_of_a_sweep_are_named_by_what_they_change(cell: dict, name: str):
    assert cell_name(cell) == name


def test_the_table_of_a_sweep_has_a_row_a_cell_and_dashes_for_the_unfinished(tmp_path: Path):
    cells = [{"seed": 0}, {"mechanism.policy": "center"}]
    names = ("mean", "m10", "random", "center")
    ends = {"": 0.05, "_low": 0.04, "_high": 0.06125}
    result = {f"test/error_{n}{end}": v for n in names for end, v in ends.items()}
    (tmp_path / "seed=0").mkdir()
    write_sealed(tmp_path / "seed=0" / "result.json", {**result, "wall_seconds": 61.7})
    shown = " | ".join(["5.00 [4.00, 6.12]"] * 4)
    assert table(tmp_path, cells).splitlines() == [
        "| mechanism.policy | seed | error_mean | error_m10 | error_random | error_center "
        "| wall s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        f"|  | 0 | {shown} | 62 |",
        "| center |  | - | - | - | - | - |",
    ]


def test_a_figure_that_is_no_number_is_best_only_until_one_comes(
    config_of: Callable[..., ConfigDict], tmp_path: Path
):
    settings, experiment = prepared(config_of())
    notes = {"best": None, "best_step": None}
    progress = Progress(settings, 0)
    run = Run(tmp_path, settings, experiment, Checkpoints(tmp_path), notes, progress, 0.0)
    said = [run.note_best(step, value) for step, value in enumerate([math.nan, 0.5, math.nan, 0.5])]
    assert said == [True, True, False, True]
    assert notes == {"best": 0.5, "best_step": 3}


def fails(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("where", ["validate", "conclude"])
def test_what_cannot_be_read_is_not_said_to_be_unwritable(
    config_of: Callable[..., ConfigDict], tmp_path: Path, where: str
):
    plain = config_of().to_dict()
    system = system_of(plain)
    broken = {where: fails(OSError("no such disk"))}
    system = system._replace(prepare=lambda s: system_of(plain).prepare(s)._replace(**broken))
    with pytest.raises(OSError, match=r"\Ano such disk\Z"):
        loop.train(system, plain, tmp_path)


def test_a_model_that_cannot_be_made_is_a_bug(config_of: Callable[..., ConfigDict], tmp_path: Path):
    plain = config_of().to_dict()

    def prepare(settings: object) -> object:
        experiment = system_of(plain).prepare(settings)
        init = fails(TypeError("shapes (3,), (4,)"))
        return experiment._replace(learner=experiment.learner._replace(init=init))

    with pytest.raises(TypeError, match="shapes"):
        loop.train(system_of(plain)._replace(prepare=prepare), plain, tmp_path)


def test_a_config_that_is_no_json_is_the_users_to_mend(
    config_of: Callable[..., ConfigDict], tmp_path: Path
):
    plain = config_of().to_dict()
    with pytest.raises(UserError, match="not JSON serializable"):
        loop.train(system_of(plain), {**plain, "seed": object()}, tmp_path)


@pytest.mark.parametrize(("terminal", "progress", "asked"), [(True, True, True),
                         (False, True, False), (True, False, False)])  # fmt: skip
def test_a_bar_is_asked_for_before_it_is_drawn(
    config_of: Callable[..., ConfigDict], monkeypatch: pytest.MonkeyPatch,
    terminal: bool, progress: bool, asked: bool,
):  # fmt: skip
    names: list[str] = []
    monkeypatch.setattr(loop, "check_installed", lambda *some: names.extend(some))
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    settings, _ = prepared(config_of(log__progress=progress))
    loop._prepare(system_of(config_of().to_dict()), settings)
    assert ("tqdm" in names) == asked
