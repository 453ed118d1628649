"""Data sets that TFDS has prepared, read without TensorFlow."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import load_source
from tests.source_checks import check_form, refuses, same


def prepared(root: Path, splits: dict[str, int], channels: int = 1) -> Path:
    """Let TFDS write a data set, with a builder that does not need TensorFlow."""
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


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"', "{", "[" * 100_000])
def test_tfds_with_damaged_json(name: str, content: str, tiny: Path, tmp_path: Path):
    shutil.copytree(tiny, tmp_path / "copy")
    (tmp_path / "copy" / name).write_text(content)
    with refuses(f"copy/{name} (must hold a JSON object; got|cannot be read)"):
        load_source("tfds", tmp_path / "copy")


def test_tfds_features_of_other_modules_are_not_imported(tiny: Path, tmp_path: Path):
    shutil.copytree(tiny, tmp_path / "copy")
    path = tmp_path / "copy" / "features.json"
    name = "tensorflow_datasets.core.features.image_feature.Image"
    text = path.read_text()
    assert name in text
    path.write_text(text.replace(name, "antigravity.Image"))
    with refuses("expected features of tensorflow_datasets; got 'antigravity.Image'"):
        load_source("tfds", tmp_path / "copy")


def test_tfds_keeps_the_names_of_its_classes(tiny: Path):
    assert load_source("tfds", tiny).classes == ("0", "1", "2")


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
