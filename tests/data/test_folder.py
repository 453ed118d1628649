"""Image files in class folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import Source, load_source
from tests.source_checks import check_form, refuses, same


def picture(path: Path, level: int, rows: int = 4, columns: int = 6, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (columns, rows), level if mode == "L" else (level, 0, 0)).save(path)
    return path


def class_folders(root: Path, counts: dict[str, int]) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            picture(root / name / f"{i:03}.png", 100 * number + i)
    return root


def levels(source: Source) -> list[list[int]]:
    return [split.images[:, 0, 0, 0].tolist() for split in source[:3]]


def test_folder_with_splits(tmp_path: Path):
    for number, name in enumerate(("train", "val", "test")):
        for label, kind in enumerate(("cat", "ant")):
            picture(tmp_path / name / kind / "a.png", 10 * number + label)
    (tmp_path / "train" / "ant" / ".hidden").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README").write_text("no image")
    source = load_source("folder", tmp_path)
    check_form(source)
    assert levels(source) == [[1, 0], [11, 10], [21, 20]]  # ant before cat
    assert source.train.labels.tolist() == [0, 1]
    assert source.description.endswith("2 classes: 2 train, 2 validation, 2 test")
    (tmp_path / "val").rename(tmp_path / "validation")
    assert same(load_source("folder", tmp_path), source)


def test_folder_without_validation_draws_it_from_train(tmp_path: Path):
    class_folders(tmp_path / "train", {"a": 20, "b": 10})
    class_folders(tmp_path / "test", {"a": 1, "b": 1})
    source = load_source("folder", tmp_path, fraction=0.2)
    train, validation, test = levels(source)
    assert (len(train), len(validation), len(test)) == (24, 6, 2)
    assert source.validation.labels.tolist() == [0] * 4 + [1] * 2
    assert sorted(train + validation) == [*range(20), *range(100, 110)]
    assert source.description.endswith("; validation drawn from each training class by seed 0")


def test_folder_of_classes_is_split_by_seed_in_each_class(tmp_path: Path):
    class_folders(tmp_path, {"a": 20, "b": 10, "train": 10})  # a class may be named train
    source = load_source("folder", tmp_path, seed=1)
    assert same(source, load_source("folder", tmp_path, seed=1))
    assert levels(source) != levels(load_source("folder", tmp_path, seed=2))
    counts = [np.bincount(split.labels).tolist() for split in source[:3]]
    assert counts == [[16, 8, 8], [2, 1, 1], [2, 1, 1]]
    assert sorted(level for part in levels(source) for level in part) == [
        *range(20),
        *range(100, 110),
        *range(200, 210),
    ]


def test_folder_converts_colours_and_sizes(tmp_path: Path):
    for kind in ("a", "b"):
        picture(tmp_path / kind / "0.png", 200, mode="RGB")
        picture(tmp_path / kind / "1.bmp", 200, rows=8, columns=8)
        picture(tmp_path / kind / "2.png", 200, rows=3)
    colour = load_source("folder", tmp_path, size=(3, 5), channels=3)
    assert colour.train.images.shape == (2, 3, 5, 3)
    pixels = {tuple(p) for split in colour[:3] for p in split.images.reshape(-1, 3).tolist()}
    assert pixels == {(200, 0, 0), (200, 200, 200)}
    grey = load_source("folder", tmp_path, size=7)
    assert grey.train.images.shape == (2, 7, 7, 1)
    assert {p for split in grey[:3] for p in split.images.ravel().tolist()} == {60, 200}


def test_folder_turns_photographs_upright(tmp_path: Path):
    for kind in ("a", "b"):
        for i in range(3):
            path = picture(tmp_path / kind / f"{i}.jpg", 9, rows=4, columns=6)
            exif = Image.Exif()
            exif[0x0112] = 6  # taken with the camera turned by a quarter
            Image.open(path).save(path, exif=exif)
    assert load_source("folder", tmp_path).train.images.shape[1:3] == (6, 4)


def test_folder_refuses_images_of_different_sizes(tmp_path: Path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    picture(tmp_path / "b" / "odd.png", 1, rows=5)
    with refuses(r"a/00\d.png is 4 x 6 \(rows x columns\), .*b/odd.png is 5 x 6"):
        load_source("folder", tmp_path)


def test_folder_refuses_what_is_no_image(tmp_path: Path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    whole = (tmp_path / "a" / "000.png").read_bytes()
    odd = tmp_path / "b" / "odd.png"
    for content in (b"words", whole[:40]):
        odd.write_bytes(content)
        with refuses("expected an image that Pillow reads; .*b/odd.png is not one"):
            load_source("folder", tmp_path)
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(odd)
    with refuses("expected 8 bits a channel; .*b/odd.png has mode I;16"):
        load_source("folder", tmp_path)
    odd.unlink()
    (tmp_path / "b" / "deeper").mkdir()
    with refuses("b/deeper is not one"):
        load_source("folder", tmp_path)


def test_folder_refuses_other_layouts(tmp_path: Path):
    with refuses(r"at least 2 classes; .* has the folders \(none\)"):
        load_source("folder", tmp_path)
    class_folders(tmp_path / "one", {"a": 3})
    with refuses("at least 2 classes; .* has the folders a"):
        load_source("folder", tmp_path / "one")
    class_folders(tmp_path / "loose", {"train": 3, "test": 3})
    with refuses("expected train/, test/ .* has the folders test, train"):
        load_source("folder", tmp_path / "loose")
    class_folders(tmp_path / "few", {"a": 2, "b": 9})
    with refuses("class a has too few images to hold out 1 and train on the others"):
        load_source("folder", tmp_path / "few")
    (tmp_path / "few" / "c").mkdir()
    with refuses("expected images in every class folder; .*few/c is empty"):
        load_source("folder", tmp_path / "few")
    class_folders(tmp_path / "split" / "train", {"a": 3, "b": 3})
    with refuses("there is no test/ beside .*train"):
        load_source("folder", tmp_path / "split")
    class_folders(tmp_path / "split" / "test", {"a": 3, "c": 3})
    with refuses("train has a, b; test has a, c"):
        load_source("folder", tmp_path / "split")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "channels must be 1 or 3; got 2"),
        ({"fraction": 0.5}, "fraction must be above 0 and below 0.5; got 0.5"),
        ({"fraction": 0.0}, "fraction must be above 0 and below 0.5; got 0.0"),
        ({"size": 0}, r"size must be a positive number or \(rows, columns\); got 0"),
        ({"size": (3, -1)}, r"size must be .*; got \(3, -1\)"),
    ],
)
def test_folder_refuses_options(options: dict, message: str, tmp_path: Path):
    with refuses(message):
        load_source("folder", tmp_path, **options)
