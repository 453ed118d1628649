"""Files of arrays as Keras stores them, and which are refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from attn_jax import memory
from attn_jax.data import check_images, load_source
from attn_jax.errors import UserError
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
        (
            {"x_train": np.array([{}] * 40)},
            "cannot read .*x_train.npy holds Python objects",
        ),
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


def test_npz_may_name_its_classes(tmp_path: Path):
    names = np.array(["cat", "dog", "owl"])
    source = load_source("npz", saved(tmp_path, class_names=names))
    assert source.classes == ("cat", "dog", "owl")
    assert load_source("npz", saved(tmp_path)).classes == ("0", "1", "2")
    with refuses("class_names must be different names; got a, a, b"):
        load_source("npz", saved(tmp_path, class_names=np.array(["a", "a", "b"])))
    with refuses("class_names must be 5 different names; got cat, dog, owl"):
        load_source("npz", saved(tmp_path, class_names=names), num_classes=5)


def _header(shape: str, descr: str = "|u1") -> bytes:
    """The head of a .npy file."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_header("(1000000, 1000000, 1000)"), "claims 1,000,000,000,000,000 bytes of data and has"),
        (_header("(-3, 4)") + bytes(12), "claims -12 bytes"),
        (_header("(3,", "|u1"), "the header of x_train.npy is damaged"),
        (_header("(2, 2)", "|X9") + bytes(4), "the header of x_train.npy is damaged"),
        (b"\x93NUMPY\x07\x00" + bytes(50), "the header of x_train.npy is damaged"),
        (b"", "the header of x_train.npy is damaged"),
    ],
)
def test_npz_with_a_damaged_header(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(saved(tmp_path)) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, content if name == "x_train.npy" else data)
    with refuses(f"cannot read .*data.npz: .*({message})"):
        load_source("npz", path)


def test_npz_of_more_than_is_free_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "host_free", lambda: 500)
    with pytest.raises(
        UserError, match=r"data.npz: x_train.npy would take 800 bytes of memory; 500 bytes are free"
    ):
        load_source("npz", saved(tmp_path))


def test_npz_that_is_encrypted_or_oddly_compressed(tmp_path: Path):
    path = saved(tmp_path)
    whole = path.read_bytes()
    for offset, value, message in ((6, 1, "encrypted"), (8, 97, "compression")):
        content, start = bytearray(whole), 0
        for mark, extra in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
            start = content.find(mark)
            while start >= 0:
                content[start + offset + extra] |= value
                start = content.find(mark, start + 4)
        path.write_bytes(content)
        with refuses(f"cannot read .*data.npz: .*{message}"):
            load_source("npz", path)


def test_check_images_copies_nothing_that_has_its_form():
    images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1], np.int64)
    checked = check_images(images, labels, 2, "here")
    assert checked.images is images
    assert checked.labels.dtype == np.int32
