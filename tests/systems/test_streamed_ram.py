"""RAM on images that stay on disk: bit for bit what it is on resident ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from attn_jax.data import load_source, write_images
from attn_jax.errors import UserError
from attn_jax.runs.evaluate import evaluate
from attn_jax.runs.load import load
from tests.tiny import files, killed, prepared, rows, same_state, train

Config = Callable[..., ConfigDict]


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records") / "images"
    write_images(folder, load_source("npz", data))
    return folder


def streamed(config_of: Config, folder: Path, **changed) -> ConfigDict:
    source = {"data__source": "records", "data__path": str(folder), "data__stream": True}
    return config_of(**source, **changed)


def test_streamed_images_train_to_the_same_bits_through_a_kill(
    config_of: Config, finished: Path, folder: Path, tmp_path: Path
):
    config = streamed(config_of, folder)
    _, experiment = prepared(config)
    assert experiment.resident == ()
    assert experiment.feed(2, 3).images.shape == (3, 8, 10, 10, 1)
    killed(config, tmp_path, 2)
    train(config, tmp_path)
    same_state(load(tmp_path, 12).state, load(finished, 12).state)
    assert rows(tmp_path) == rows(finished)
    with pytest.raises(UserError, match="the train split of a stream is not measured"):
        evaluate(tmp_path, split="train")


def test_damaged_records_end_the_run_in_one_line_that_names_them(
    config_of: Config, folder: Path, tmp_path: Path
):
    config = streamed(config_of, folder)
    shard = next((folder / "train").glob("*.array_record*"))
    whole = shard.read_bytes()
    try:
        shard.write_bytes(whole[:-40_000] if len(whole) > 80_000 else whole[: len(whole) // 2])
        with pytest.raises(UserError, match=r"\A[^\n]*train[^\n]*(damaged|expected)[^\n]*\Z"):
            train(config, tmp_path / "run")
        assert files(tmp_path) == {}
    finally:
        shard.write_bytes(whole)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data__source": "npz"}, "data.stream needs data.source=records and its data.path; got n"),
        ({"data__task": "cluttered", "data__size": 20, "data__shift": 0},
         "data.task=cluttered takes parts of an example from all images; data.stream is True"),
        ({"data__path": "/nowhere"}, "expected a folder of records at /nowhere; there is none"),
    ],
)  # fmt: skip
def test_what_cannot_be_streamed_is_refused(
    config_of: Config, folder: Path, changed: dict, message: str
):
    with pytest.raises(UserError, match=message):
        prepared(config_of(**{"data__source": "records", "data__path": str(folder),
                              "data__stream": True, **changed}))  # fmt: skip
