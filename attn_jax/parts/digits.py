"""Digits and other small images of classes: the section, the examples, and how they are fed."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.data import (
    SOURCES,
    TASKS,
    Images,
    Source,
    StreamedSource,
    compose_split,
    load_source,
    make_generator,
    open_stream,
)
from attn_jax.fields import field, section
from attn_jax.parts.feed import feed_ids
from attn_jax.training.experiment import Feed
from attn_jax.types import Key, PyTree


@section
class Digits:
    """The images, and the canvases composed of them on the device."""

    source: str = field("where images come from", names=SOURCES)
    path: str | None = field("file or folder of the source; None for embedded")
    task: str = field("what is composed of an image", names=TASKS)
    size: int = field("side of the canvas, pixels", least=1)
    shift: int = field("centered: training images move by up to so many whole pixels", least=0)
    pieces: int = field("cluttered: how many pieces of other images", least=0)
    piece: int = field("cluttered: their size, pixels", least=1)
    seed: int = field("seed of the frozen validation and test composites", least=0)
    resize: int | None = field("folder: side that images are resized to, pixels", least=1)
    stream: bool = field("whether training images stay on disk and are read as they are needed")
    channels: int = field("folder: 1 grey, 3 RGB", least=1)
    fraction: float = field(
        "folder without train/, val/, test/: fraction of each class for each of the last two",
        least=0,
    )


class Canvas(NamedTuple):
    """The facts that a model must know of its images.

    Attributes:
      canvas: H, W, C of one input.
      num_classes: C of the answer.
    """

    canvas: tuple[int, ...]
    num_classes: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Canvas":
        """The facts that a checkpoint keeps."""
        return cls(tuple(facts["canvas"]), facts["num_classes"])


class DigitData(NamedTuple):
    """A source, and what is made of it.

    Attributes:
      source: train, validation and test images; of a stream, training images stay on disk.
      generate: (keys, images, ids) -> x, with augmentation, for training.
      compose: the same without, for the frozen validation and test sets.
      canvas: the facts of x.
    """

    source: Source | StreamedSource
    generate: Callable[[Key, Array, Array], Array]
    compose: Callable[[Key, Array, Array], Array]
    canvas: Canvas


class DigitBatch(NamedTuple):
    """A batch of composed images: x [B, H, W, C] in [0, 1], labels [B], ids [B]."""

    x: Array
    labels: Array
    ids: Array


_ID = jax.ShapeDtypeStruct((1,), np.int32)
_SPLITS = {"train": 0, "validation": 1, "test": 2}  # what their composites are frozen by


def load_digits(data: Digits) -> DigitData:
    """The images that a section names.

    Raises:
      ValueError, FileNotFoundError, ModuleNotFoundError: naming what does not fit or is not there.
    """
    source = _open_source(data)
    options = {"size": data.size, "pieces": data.pieces, "piece": data.piece}
    compose = make_generator(data.task, **options)
    generate = make_generator(data.task, **options, shift=data.shift)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    images = source.test.images
    for make in (generate, compose):  # traced, so that sizes that do not fit are refused here
        jax.eval_shape(make, key, images, _ID)
    channels = images.shape[-1]
    canvas = Canvas((data.size, data.size, channels), source.num_classes)
    return DigitData(source, generate, compose, canvas)


def _open_source(data: Digits) -> Source | StreamedSource:
    if not data.stream:
        of_folder = {"size": data.resize, "channels": data.channels, "fraction": data.fraction}
        options = of_folder if data.source == "folder" else {}
        return load_source(data.source, data.path, **options)
    if data.source != "records" or data.path is None:
        raise ValueError(
            "data.stream needs data.source=records and its data.path; "
            f"got {data.source} and {data.path}"
        )
    if data.task == "cluttered":
        raise ValueError("data.task=cluttered cuts its pieces from all images; data.stream is True")
    return open_stream(data.path)


def resident(data: DigitData) -> Images | tuple[()]:
    """The training images that stay on the devices: all, or of a stream none."""
    return () if isinstance(data.source, StreamedSource) else data.source.train


def feed_digits(data: DigitData, seed: int, batch: int) -> Feed:
    """The feed: ids of resident images, or the images of a stream with their ids."""
    if not isinstance(data.source, StreamedSource):
        return feed_ids(seed, len(data.source.train.labels), batch)
    records = data.source.train
    ids_of = feed_ids(seed, len(records), batch)

    def feed(step: int, count: int) -> RecordBatch:
        ids = ids_of(step, count)
        return RecordBatch(ids=ids, **records.read(ids))

    return feed


class RecordBatch(NamedTuple):
    """Examples read from disk: ids [..., B], uint8 images [..., B, h, w, C], labels [..., B]."""

    ids: np.ndarray
    images: np.ndarray
    labels: np.ndarray


def compose_batch(data: DigitData) -> Callable[[PyTree, PyTree, Key], DigitBatch]:
    """(resident images, what was fed, key) -> a batch composed on the device."""
    generate = data.generate

    def of_resident(resident: Images, ids: Array, key: Key) -> DigitBatch:
        x = generate(example_keys(key, ids), resident.images, ids)
        return DigitBatch(x, resident.labels[ids], ids)

    def of_stream(resident: tuple[()], fed: RecordBatch, key: Key) -> DigitBatch:
        del resident

        def one(key: Key, image: Array) -> Array:
            return generate(key[None], image[None], jnp.zeros(1, jnp.int32))[0]

        x = jax.vmap(one)(example_keys(key, fed.ids), fed.images)
        return DigitBatch(x, fed.labels, fed.ids)

    return of_stream if isinstance(data.source, StreamedSource) else of_resident


def example_keys(key: Key, ids: Array) -> Key:
    """One key an example, folded from its id."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)


def first_images(data: DigitData, count: int) -> Images:
    """The first training images, resident or of a stream."""
    train = data.source.train
    if isinstance(train, Images):
        return Images(*(part[:count] for part in train))
    return Images(**train.read(np.arange(min(count, len(train)))))


def freeze(data: DigitData, seed: int, images: Images, which: int) -> Images:
    """Images composed once, under the data's own seed; `which` tells sets apart."""
    key = jax.random.fold_in(jax.random.key(seed), which)
    return Images(compose_split(data.compose, key, images.images), images.labels)


def freeze_split(data: DigitData, seed: int, split: str) -> tuple[Images, Key]:
    """A split's frozen composites, and the key that it is measured with."""
    which, images = _SPLITS[split], getattr(data.source, split)
    if not isinstance(images, Images):
        raise ValueError(f"the {split} split of a stream is not measured: it is not in memory")
    return freeze(data, seed, images, which), measure_key(seed, which)


def measure_key(seed: int, which: int) -> Key:
    """The key that random starts and sampled rollouts are measured with."""
    return jax.random.fold_in(jax.random.key(seed), 100 + which)


def picture_key(seed: int) -> Key:
    """The key of the random starts in pictures."""
    return jax.random.fold_in(jax.random.key(seed), 200)
