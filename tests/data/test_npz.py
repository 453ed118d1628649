"""Files of arrays as Keras stores them, and which are refused."""

from pathlib import Path

import numpy as np
import pytest

from attn_jax.data import check_images, load_source
from tests.source_checks import check_form, refuses, same

Arrays = dict[str, np.ndarray]


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


def test_of_ten_thousand_images_five_thousand_are_for_validation(tmp_path: Path):
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


def test_check_images_copies_nothing_that_has_its_form():
    images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1], np.int64)
    checked = check_images(images, labels, 2, "here")
    assert checked.images is images
    assert checked.labels.dtype == np.int32
