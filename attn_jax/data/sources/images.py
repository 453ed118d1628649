"""The form of data that every source returns, and the checks that all of them share."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.data.pictures import Preparation

SPLITS = ("train", "validation", "test")


class Images(NamedTuple):
    """N images with labels: one split.

    Attributes:
      images: uint8 [N, H, W, C].
      labels: int32 [N], in [0, num_classes).
    """

    images: np.ndarray
    labels: np.ndarray


class Source(NamedTuple):
    """A data set in three splits.

    Attributes:
      train, validation, test: the splits; all images have one shape. Data that are only to be
        measured may have splits without images.
      classes: their names, at least 2; label i is classes[i].
      preparation: how a picture becomes one of these images.
      name: of the reader in SOURCES.
      description: one line: what was loaded and how it was split.
    """

    train: Images
    validation: Images
    test: Images
    classes: tuple[str, ...]
    preparation: Preparation
    name: str
    description: str

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


def numbered(count: int) -> tuple[str, ...]:
    """Names of classes that have none: their numbers."""
    return tuple(map(str, range(count)))


def plain_preparation(images: Images, digit: bool = False) -> Preparation:
    """The preparation that gives a picture the size and channels of a split's images."""
    height, width, channels = images.images.shape[1:]
    return Preparation((height, width), channels, digit=digit)


def digest(source: Source) -> str:
    """A digest of all pixels and labels, 16 hexadecimal digits: the same wherever the data lie."""
    state = hashlib.blake2b(digest_size=8)
    for split in SPLITS:
        for part in getattr(source, split):
            state.update(repr(part.shape).encode())
            state.update(np.ascontiguousarray(part))
    return state.hexdigest()


def with_classes(source: Source, classes: Sequence[str]) -> Source:
    """Number the labels as a run does that knows these classes, matched by name.

    Args:
      source: which may lack some of the classes.
      classes: of the run.

    Raises:
      ValueError: naming the classes that the run does not know.
    """
    if strange := [name for name in source.classes if name not in classes]:
        raise ValueError(
            f"the run knows the classes {', '.join(classes)}; the data have also "
            f"{', '.join(strange)}"
        )
    numbers = np.array([classes.index(name) for name in source.classes], np.int32)
    parts = {
        split: Images(images, numbers[labels])
        for split in SPLITS
        for images, labels in [getattr(source, split)]
    }
    return source._replace(**parts, classes=tuple(classes))


def check_images(images: np.ndarray, labels: np.ndarray, num_classes: int, where: str) -> Images:
    """Check the images and labels of a split, and convert them to the form of `Images`.

    Args:
      images: [N, H, W] or [N, H, W, C], uint8 or float in [0, 1] (stored as round(255 x)).
      labels: integers [N] or [N, 1], in [0, num_classes).
      num_classes: at least 2.
      where: the name of the split in messages.

    Raises:
      ValueError: naming what was expected and what was found.

    >>> check_images(np.ones((2, 4, 4)), np.array([0, 1]), 2, "x_train").images[0, 0, 0]
    array([255], dtype=uint8)
    """
    images, labels = _check_pixels(np.asarray(images), where), np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:  # as Keras stores CIFAR
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{where}: labels must be [N]; got shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{where}: labels must be integers; got {labels.dtype}")
    if len(images) != len(labels):
        raise ValueError(f"{where}: {len(images)} images but {len(labels)} labels")
    if num_classes < 2:
        raise ValueError(f"{where}: expected at least 2 classes; got {num_classes}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"{where}: labels must lie in 0 to {num_classes - 1}; got {low} to {high}")
    return Images(images, labels.astype(np.int32))


def _check_pixels(images: np.ndarray, where: str) -> np.ndarray:
    """Check images and convert them to uint8 [N, H, W, C]."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise ValueError(f"{where}: images must be [N, H, W] or [N, H, W, C]; got {images.shape}")
    if 0 in images.shape:
        raise ValueError(f"{where}: expected at least one image with pixels; got {images.shape}")
    if images.shape[1] <= 4 < images.shape[3]:
        raise ValueError(f"{where}: channels must come last, [N, H, W, C]; got {images.shape}")
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"{where}: images must be uint8, or float in [0, 1]; got {images.dtype}")
    if not np.isfinite(images).all():
        raise ValueError(f"{where}: images hold NaN or infinite values")
    if images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"{where}: float images must lie in [0, 1]; got {images.min():g} to {images.max():g}"
        )
    return np.rint(255 * images).astype(np.uint8)


def check_source(source: Source) -> Source:
    """Return the source if the images of all splits have one shape.

    Raises:
      ValueError: naming the splits that differ and their shapes.
    """
    expected = source.train.images.shape[1:]
    for split in ("validation", "test"):
        shape = getattr(source, split).images.shape[1:]
        if shape != expected:
            raise ValueError(
                f"images of one size are needed; train has {expected}, {split} has {shape}"
            )
    return source


def hold_out(train: Images, where: str) -> tuple[Images, Images]:
    """Part the training images into those for training and the last ones, for validation.

    The last 5,000 images are for validation; of fewer than 10,000 images, the last tenth.

    Args:
      train: the split.
      where: the name of the split in messages.

    Raises:
      ValueError: for fewer than 2 images, or labels in sorted order, where the last images
        would be of one class.
    """
    n = len(train.labels)
    if n < 2:
        raise ValueError(f"{where}: expected at least 2 images, to hold out one; got {n}")
    if n >= 20 and (np.diff(train.labels) >= 0).all():
        raise ValueError(
            f"{where}: labels are sorted, so the last images, which validate, "
            "would be of one class: shuffle them"
        )
    cut = n - (5_000 if n >= 10_000 else max(1, n // 10))
    first, last = slice(0, cut), slice(cut, n)
    return (
        Images(train.images[first], train.labels[first]),
        Images(train.images[last], train.labels[last]),
    )


def sizes(source: Source) -> str:
    """Describe how many images are in each split."""
    return ", ".join(f"{len(getattr(source, split).labels):,} {split}" for split in SPLITS)
