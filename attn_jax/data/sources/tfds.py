"""Data sets that TFDS has prepared, read without TensorFlow."""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.data.sources.cache import Arrays, cached
from attn_jax.data.sources.images import (
    Images,
    Source,
    check_images,
    check_source,
    hold_out,
    numbered,
    plain_preparation,
    sizes,
)

PREPARE = (
    "prepare it with `tfds build --file_format=array_record` or tfds.builder(name, data_dir=..., "
    "file_format='array_record').download_and_prepare(); stock builders need attn_jax[tf] for it"
)
# number of channels -> mode of Pillow
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def load_tfds(
    path: str | os.PathLike,
    *,
    dataset: str | None = None,
    image: str | None = None,
    label: str | None = None,
) -> Source:
    """Load an image classification data set that TFDS has prepared in array_record format.

    The splits train, validation and test are used. Without a validation split, the last 5,000
    training images become one; of fewer than 10,000, the last tenth.

    Args:
      path: the directory of a version (.../mnist/3.0.1), or a directory above just one data set.
      dataset: which data set below the path, e.g. "mnist" or "mnist/3.0.1".
      image, label: names of the features; by default the only Image and the only ClassLabel.

    Raises:
      FileNotFoundError: if there is no prepared data set.
      ModuleNotFoundError: if tensorflow-datasets is not installed.
      ValueError: if there are several data sets, or the features or splits are not there.
    """
    directory = _find(Path(path, dataset or ""))
    info = _json(directory / "dataset_info.json")
    _check_features(directory)
    if info.get("fileFormat") != "array_record":
        raise ValueError(f"{directory} is not in array_record format; {PREPARE}")
    name = f"tfds-{hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]}"
    stamp = repr((_stamp(directory), image, label))
    arrays = cached(name, stamp, lambda: _read(directory, image, label), seconds=3.0)
    classes = tuple(map(str, arrays["classes"]))

    def split(part: str) -> Images:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        return check_images(images, labels, len(classes), f"{directory} {part}")

    train, how = split("train"), ""
    if "validation_images" in arrays:
        validation = split("validation")
    else:
        train, validation = hold_out(train, f"{directory} train")
        how = "; the last training images validate"
    title = "/".join(directory.parts[-2:])
    like = plain_preparation(train, digit=info.get("name") == "mnist")
    source = Source(train, validation, split("test"), classes, like, "tfds", "")
    return check_source(source)._replace(description=f"TFDS {title}: {sizes(source)}{how}")


def _find(path: Path) -> Path:
    """The directory of the only data set at a path or below it."""
    if not path.exists():
        raise FileNotFoundError(f"expected a prepared TFDS data set at {path}; there is none")
    if (path / "dataset_info.json").exists():
        return path
    depths = ("*", "*/*", "*/*/*")  # version; name/version; name/config/version
    found = sorted(
        file.parent
        for depth in depths
        for file in path.glob(f"{depth}/dataset_info.json")
        if "incomplete" not in file.parent.name
    )
    if not found:
        raise FileNotFoundError(
            f"expected a prepared TFDS data set; no dataset_info.json in {path} or three "
            f"levels below; {PREPARE}"
        )
    if len(found) > 1:
        names = ", ".join(str(one.relative_to(path)) for one in found)
        raise ValueError(f"{path} holds several data sets, choose one by `dataset`: {names}")
    return found[0]


def _json(path: Path) -> dict[str, Any]:
    """A JSON file that must hold an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object; got {type(content).__name__}")
    return content


def _check_features(directory: Path) -> None:
    """Refuse features whose classes TFDS would import from elsewhere: importing runs code."""
    path = directory / "features.json"
    waiting: list[Any] = [_json(path)] if path.exists() else []
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            name = one.get("pythonClassName", "tensorflow_datasets.")
            if not str(name).startswith("tensorflow_datasets."):
                raise ValueError(f"{path}: expected features of tensorflow_datasets; got {name!r}")
            waiting += one.values()


def _stamp(directory: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file: they change when the data set does."""
    files = sorted(file for file in directory.iterdir() if file.is_file())
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _feature(features: Any, kind: type, chosen: str | None, where: Path) -> str:
    """The name of the only feature of a kind, or the chosen name if it is of that kind."""
    names = [name for name, feature in features.items() if isinstance(feature, kind)]
    found = names if chosen is None else [name for name in names if name == chosen]
    if len(found) != 1:
        wanted = "one" if chosen is None else f"{chosen!r} to be a"
        raise ValueError(
            f"{where}: expected {wanted} {kind.__name__} feature; got "
            f"{', '.join(names) or 'none'} among {', '.join(features)}"
        )
    return found[0]


def _read(directory: Path, image: str | None, label: str | None) -> Arrays:
    """Read the images and labels of every split, and the number of classes."""
    try:
        import tensorflow_datasets as tfds
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "TFDS directories need tensorflow-datasets: pip install 'attn_jax[experiments]'"
        ) from error
    try:
        builder = tfds.builder_from_directory(directory)
        features = builder.info.features
    except Exception as error:  # TFDS and protobuf raise many kinds of error on damaged files
        raise ValueError(f"{directory} cannot be read: {_reason(error)}") from error
    image = _feature(features, tfds.features.Image, image, directory)
    label = _feature(features, tfds.features.ClassLabel, label, directory)
    splits = [*builder.info.splits]
    for split in ("train", "test"):
        if split not in splits:
            raise ValueError(
                f"{directory}: expected splits train and test (validation may be missing); "
                f"got {', '.join(splits) or 'none'}"
            )
    mode = MODES.get(features[image].shape[-1])
    if mode is None or features[image].np_dtype != np.uint8:
        raise ValueError(
            f"{directory}: expected uint8 images of 1, 3 or 4 channels; got {features[image]}"
        )
    names = features[label].names or numbered(features[label].num_classes)
    arrays = {"classes": np.array(names)}
    for split in ("train", "validation", "test"):
        if split in splits:
            pairs = _pairs(tfds, builder, split, image, label)
            images, labels = _decode(pairs, mode, f"{directory} {split}")
            arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return arrays


def _pairs(tfds: Any, builder: Any, split: str, image: str, label: str) -> list[tuple[bytes, int]]:
    """Read (encoded image, label) of every example of a split."""
    # TFDS would decode one image at a time, which is three times slower than `_decode`.
    decoders = {image: tfds.decode.SkipDecoding()}
    try:
        records = builder.as_data_source(split=split, decoders=decoders)
        blocks = (range(i, min(i + 1000, len(records))) for i in range(0, len(records), 1000))
        items = (item for block in blocks for item in records.__getitems__(block))
        return [(item[image], item[label]) for item in items]
    except Exception as error:  # TFDS and array_record raise many kinds of error
        where = f"{builder.data_path}: cannot read the split {split}"
        raise ValueError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The first line of an error, or its kind."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _decode(pairs: list[tuple[bytes, int]], mode: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode encoded images: uint8 [N, H, W, C] and int32 labels [N]."""
    from PIL import Image

    # On 70,000 MNIST images, two threads are no faster than one, and four a third slower.
    images = [np.asarray(Image.open(io.BytesIO(data)).convert(mode)) for data, _ in pairs]
    shapes = sorted({image.shape for image in images})
    if len(shapes) != 1:
        got = f"{shapes[0]} and {shapes[-1]}" if shapes else "no images"
        raise ValueError(f"{where}: expected images of one size; got {got}")
    stacked = np.stack(images)
    stacked = stacked if stacked.ndim == 4 else stacked[..., None]
    return stacked, np.array([number for _, number in pairs], np.int32)
