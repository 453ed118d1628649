"""Image files in class folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import Preparation, Source, load_source, prepare_picture
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
    assert source.classes == ("ant", "cat")
    assert source.description.endswith(
        ", 2 classes (ant, cat): 2 train, 2 validation, 2 test; 1 other files skipped "
        "(train/ant/.hidden); 6x4 pixels, grey"
    )
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
    assert "; validation drawn from each class by seed 0; " in source.description


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
    grey = load_source("folder", tmp_path, size=7, channels=1)
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


def test_folder_finds_size_and_channels(tmp_path: Path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    assert load_source("folder", tmp_path).preparation == Preparation((4, 6), 1)
    assert load_source("folder", tmp_path, largest=5).preparation == Preparation((5, 5), 1)
    grey = picture(tmp_path / "b" / "odd.png", 100, rows=5, mode="RGB")
    source = load_source("folder", tmp_path)
    assert source.preparation == Preparation((96, 96), 3)
    assert "2 sizes stretched to 96x96 pixels, RGB" in source.description
    Image.new("RGB", (6, 5), (9, 9, 9)).save(grey)  # stored in colour, but grey
    source = load_source("folder", tmp_path, largest=12)
    assert source.preparation == Preparation((12, 12), 1)
    assert source.train.images.shape == (3, 12, 12, 1)


def test_folder_prepares_as_one_picture_is_prepared(tmp_path: Path):
    random = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            levels = random.integers(0, 256, (20, 30, 3), np.uint8)
            Image.fromarray(levels).save(tmp_path / kind / f"{i}.png")
    for options in ({}, {"aspect": "pad", "background": 7}, {"aspect": "crop", "channels": 1}):
        source = load_source("folder", tmp_path, size=(9, 8), **options)
        images = {image.tobytes() for split in source[:3] for image in split.images}
        again = [prepare_picture(file, source.preparation) for file in tmp_path.glob("*/*.png")]
        assert images == {one.image.tobytes() for one in again}


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        (("train", "valid", "test"), ""),
        (("Training", "DEV", "testing"), ""),
        (("TRAIN", "Val"), "test drawn from each class by seed 0"),
        (("train", "Test"), "validation drawn from each class by seed 0"),
        (("train",), "validation and test drawn from each class by seed 0"),
    ],
)
def test_folder_knows_the_names_of_splits(names: tuple[str, ...], drawn: str, tmp_path: Path):
    for name, count in zip(names, (20, 5, 3), strict=False):
        class_folders(tmp_path / name, {"a": count, "b": count})
    source = load_source("folder", tmp_path)
    assert sum(len(split.labels) for split in source[:3]) == 2 * sum((20, 5, 3)[: len(names)])
    assert all(len(split.labels) for split in source[:3])
    assert drawn in source.description
    assert ("drawn" in source.description) == bool(drawn)


def test_folder_with_two_folders_for_a_split(tmp_path: Path):
    for name in ("train", "val", "valid"):
        class_folders(tmp_path / name, {"a": 3, "b": 3})
    with refuses("expected one folder for each split; .* has train, val, valid"):
        load_source("folder", tmp_path)


def test_folder_skips_and_names_what_is_no_picture(tmp_path: Path):
    class_folders(tmp_path, {"a": 4, "b": 4, "__MACOSX": 2})
    for name in ("a/Thumbs.db", "b/desktop.ini", "labels.csv", "b/.DS_Store"):
        (tmp_path / name).write_text("no picture")
    source = load_source("folder", tmp_path)
    assert source.classes == ("a", "b")
    assert sum(len(split.labels) for split in source[:3]) == 8
    assert "; 4 other files skipped (a/Thumbs.db, b/.DS_Store, b/desktop.ini, …);" in (
        source.description
    )


def test_folder_reads_nested_folders(tmp_path: Path):
    class_folders(tmp_path, {"a": 4, "b": 4})
    picture(tmp_path / "a" / "more" / "deep" / "x.png", 50)
    picture(tmp_path / "a" / "no suffix.png", 51).rename(tmp_path / "a" / "nosuffix")
    assert sum(len(split.labels) for split in load_source("folder", tmp_path)[:3]) == 10
    flat = load_source("folder", tmp_path, recursive=False)
    assert sum(len(split.labels) for split in flat[:3]) == 9
    assert "1 other files skipped (a/more/deep/x.png)" in flat.description


def test_folder_measures_a_run_by_the_names_of_its_classes(tmp_path: Path):
    known = {"classes": ("a", "b", "c"), "size": (4, 6), "channels": 1}
    class_folders(tmp_path / "new", {"c": 2, "b": 1})
    source = load_source("folder", tmp_path / "new", **known)
    assert [len(split.labels) for split in source[:3]] == [0, 0, 3]
    assert source.test.labels.tolist() == [1, 2, 2]
    assert "no test images of a" in source.description
    class_folders(tmp_path / "splits" / "test", {"c": 2})
    source = load_source("folder", tmp_path / "splits", **known)
    assert source.test.labels.tolist() == [2, 2]
    class_folders(tmp_path / "other", {"b": 1, "z": 1})
    with refuses("expected folders of the classes a, b, c; .*other has also z"):
        load_source("folder", tmp_path / "other", **known)


def test_folder_where_a_class_has_no_test_images(tmp_path: Path):
    class_folders(tmp_path / "train", {"a": 9, "b": 9})
    class_folders(tmp_path / "test", {"b": 2})
    source = load_source("folder", tmp_path)
    assert source.test.labels.tolist() == [1, 1]
    assert "no test images of a" in source.description


def test_folder_refuses_what_is_no_image(tmp_path: Path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    whole = (tmp_path / "a" / "000.png").read_bytes()
    odd = tmp_path / "b" / "odd.png"
    for content in (b"words", whole[:40]):
        odd.write_bytes(content)
        with refuses("expected a picture that Pillow reads; .*b/odd.png is not one"):
            load_source("folder", tmp_path)
    Image.fromarray(np.zeros((4, 6), np.int32)).save(tmp_path / "b" / "odd.tif")
    odd.unlink()
    with refuses("expected 8 or 16 bits a channel; .*b/odd.tif has 32-bit whole numbers"):
        load_source("folder", tmp_path)


def test_folder_names_all_that_cannot_be_read(tmp_path: Path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    for name in ("x", "y"):
        (tmp_path / "b" / f"{name}.png").write_text("words")
    with refuses("b/x.png is not one.*; 1 more of 8: .*b/y.png"):
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
    with refuses("expected pictures of every class; .*few has none of c"):
        load_source("folder", tmp_path / "few")
    class_folders(tmp_path / "split" / "train", {"a": 3, "b": 3})
    class_folders(tmp_path / "split" / "test", {"a": 3, "c": 3})
    with refuses("expected folders of the classes a, b; .*test has also c"):
        load_source("folder", tmp_path / "split")


def test_folder_of_pictures_without_classes(tmp_path: Path):
    for i in range(3):
        picture(tmp_path / f"{i}.png", i)
    with refuses(r"has the folders \(none\) and 3 pictures of no class, which `infer` can read"):
        load_source("folder", tmp_path)
    with refuses("has none, but 3 of no class, which `infer` can read"):
        load_source("folder", tmp_path, classes=("a", "b"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "channels must be 1, 3 or 4; got 2"),
        ({"channels": 3, "digit": True}, "digits are grey: channels must be 1; got 3"),
        ({"fraction": 0.5}, "fraction must be above 0 and below 0.5; got 0.5"),
        ({"fraction": 0.0}, "fraction must be above 0 and below 0.5; got 0.0"),
        ({"size": 0}, r"size must be a positive number or \(rows, columns\); got 0"),
        ({"size": (3, -1)}, r"size must be .*; got \(3, -1\)"),
    ],
)
def test_folder_refuses_options(options: dict, message: str, tmp_path: Path):
    with refuses(message):
        load_source("folder", tmp_path, **options)
