"""Digits and other small images of classes: the section, the examples, and how they are fed."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.data import (
    ASPECTS,
    SOURCES,
    TASKS,
    Images,
    Preparation,
    PreparedPicture,
    Source,
    StreamedSource,
    centered,
    compose_split,
    digest,
    label_split,
    load_source,
    make_generator,
    make_labels,
    open_stream,
    prepare_picture,
    with_classes,
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
    size: int | None = field(
        "side of the canvas, pixels; None: the images' longer side, or 60 of the other tasks",
        least=1,
    )
    shift: int = field("centered: training images move by up to so many whole pixels", least=0)
    pieces: int | None = field(
        "clutter: how many pieces of other images; None: the task's own", least=0
    )
    piece: int | None = field("clutter: their size, pixels; None: the task's own", least=1)
    angle: float | None = field(
        "rotated: the largest angle, degrees; None: the task's own", least=0, most=180
    )
    seed: int = field("seed of the frozen validation and test composites", least=0)
    resize: int | None = field(
        "folder: side of the images, pixels; None: the pictures' own if all have one that fits, "
        "otherwise the canvas's, or 96",
        least=1,
    )
    stream: bool = field("whether training images stay on disk and are read as they are needed")
    channels: int | None = field(
        "folder: 1 grey, 3 RGB, 4 RGB and opacity; None: 1 if all pictures are grey, otherwise 3",
        least=1,
    )
    aspect: str = field("how a picture of other proportions is fitted", names=ASPECTS)
    background: int = field(
        "level behind transparent pixels and beside a padded picture: 0 black to 255 white",
        least=0,
        below=256,
    )
    digits: bool | None = field(
        "whether pictures are of handwritten digits, made light on black, cropped to the ink and "
        "centred; None: what the source says"
    )
    recursive: bool = field("folder: whether folders in class folders are read")
    fraction: float = field(
        "folder without valid/ or test/: fraction of each class for each of the two",
        above=0,
        below=0.5,
    )


class Canvas(NamedTuple):
    """The facts that a model must know of its images, kept with a run.

    Attributes:
      canvas: H, W, C of one input.
      classes: the names of its answers.
      preparation: how a picture becomes an image, which is put on the canvas.
      digest: of all images and labels; "" where it is not known.
    """

    canvas: tuple[int, ...]
    classes: tuple[str, ...]
    preparation: Preparation
    digest: str = ""

    @property
    def num_classes(self) -> int:
        """How many answers there are."""
        return len(self.classes)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts as plain data, as a checkpoint keeps them."""
        return {**self._asdict(), "preparation": self.preparation._asdict()}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Canvas":
        """The facts that a checkpoint keeps."""
        how = Preparation.of(facts["preparation"])
        return cls(tuple(facts["canvas"]), tuple(facts["classes"]), how, facts["digest"])


class DigitData(NamedTuple):
    """A source, and what is made of it.

    Attributes:
      source: train, validation and test images; of a stream, training images stay on disk.
      generate: (keys, images, ids) -> x, with augmentation, for training.
      compose: the same without, for the frozen validation and test sets.
      label: (keys, labels, ids) -> the labels of what is made with the same keys.
      canvas: the facts of x.
    """

    source: Source | StreamedSource
    generate: Callable[[Key, Array, Array], Array]
    compose: Callable[[Key, Array, Array], Array]
    label: Callable[[Key, Array, Array], Array]
    canvas: Canvas


class DigitBatch(NamedTuple):
    """A batch of composed images: x [B, H, W, C] in [0, 1], labels [B], ids [B]."""

    x: Array
    labels: Array
    ids: Array


_ID = jax.ShapeDtypeStruct((1,), np.int32)
_SPLITS = {"train": 0, "validation": 1, "test": 2}  # what their composites are frozen by


def load_digits(data: Digits, known: Canvas | None = None) -> DigitData:
    """The images that a section names.

    Args:
      data: the section.
      known: of a run that is to be measured on them: pictures are prepared as the run's are, and
        classes are matched by name.

    Raises:
      ValueError, FileNotFoundError, ModuleNotFoundError: naming what does not fit or is not there.
    """
    source = _open_source(data, known)
    task = TASKS[data.task]
    classes = task.classes(source.classes)
    if known and isinstance(source, Source) and classes == source.classes:
        source = with_classes(source, known.classes)
        classes = known.classes
    if known and classes != known.classes:
        raise ValueError(
            f"the run's classes are {', '.join(known.classes)}; these images give "
            f"{', '.join(classes)}"
        )
    side = known.canvas[0] if known else data.size
    options = {"size": side, "pieces": data.pieces, "piece": data.piece, "angle": data.angle}
    compose = make_generator(data.task, **options)
    generate = make_generator(data.task, **options, shift=data.shift)
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    images = jax.ShapeDtypeStruct((1, *source.test.images.shape[1:]), np.uint8)
    # Traced, so that sizes that do not fit are refused here.
    shape, _ = (jax.eval_shape(make, key, images, _ID).shape[1:] for make in (compose, generate))
    if known and shape != known.canvas:
        raise ValueError(f"the run's canvas is {known.canvas}; these images give {shape}")
    how = source.preparation if known is None else known.preparation
    canvas = Canvas(shape, classes, how, _digest(source))
    return DigitData(source, generate, compose, make_labels(data.task), canvas)


def _open_source(data: Digits, known: Canvas | None) -> Source | StreamedSource:
    if not data.stream:
        options = _folder_options(data, known) if data.source == "folder" else {}
        source = load_source(data.source, data.path, **options)
        return source._replace(preparation=_prepared_as(data, source.preparation))
    if data.source != "records" or data.path is None:
        raise ValueError(
            "data.stream needs data.source=records and its data.path; "
            f"got {data.source} and {data.path}"
        )
    if TASKS[data.task].from_all:
        raise ValueError(
            f"data.task={data.task} takes parts of an example from all images; data.stream is True"
        )
    source = open_stream(data.path)
    return source._replace(preparation=_prepared_as(data, source.preparation))


def _folder_options(data: Digits, known: Canvas | None) -> dict[str, Any]:
    options: dict[str, Any] = {"recursive": data.recursive, "fraction": data.fraction}
    if known:
        return {**options, **known.preparation._asdict(), "classes": known.classes}
    found = {} if data.size is None else {"largest": data.size}
    return options | found | {
        "size": data.resize,
        "channels": data.channels,
        "aspect": data.aspect,
        "background": data.background,
        "digit": bool(data.digits),
    }  # fmt: skip


def _prepared_as(data: Digits, how: Preparation) -> Preparation:
    """A source's preparation, with what the section says of it."""
    digit = how.digit if data.digits is None else data.digits
    if digit and how.channels != 1:
        raise ValueError(f"data.digits needs images of 1 channel; these have {how.channels}")
    return how._replace(aspect=data.aspect, background=data.background, digit=digit)


def _digest(source: Source | StreamedSource) -> str:
    if isinstance(source, StreamedSource):
        return source.train.about["digest"]
    return digest(source)


def picture_on_canvas(path: str, canvas: Canvas) -> PreparedPicture:
    """A user's picture, prepared as the run's images are, in the middle of a black canvas.

    One that has the canvas's size is taken for a whole canvas.

    Raises:
      FileNotFoundError, ValueError: as `prepare_picture` does.
    """
    size = canvas.canvas[:2]
    picture = prepare_picture(path, canvas.preparation, kept=size)
    if picture.image.shape == canvas.canvas:
        return picture
    if len(canvas.canvas) != 3 or picture.image.shape[-1] != canvas.canvas[-1]:
        raise ValueError(f"the run's inputs are {list(canvas.canvas)}; a picture cannot be one")
    middle = centered(jax.random.key(0), jnp.asarray(picture.image), size=size[0])
    image = np.rint(255 * np.asarray(middle)).astype(np.uint8)
    return PreparedPicture(image, f"{picture.note}, in the middle of {size[1]}x{size[0]}")


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
    generate, label = data.generate, data.label

    def of_resident(resident: Images, ids: Array, key: Key) -> DigitBatch:
        keys = example_keys(key, ids)
        x = generate(keys, resident.images, ids)
        return DigitBatch(x, label(keys, resident.labels, ids), ids)

    def of_stream(resident: tuple[()], fed: RecordBatch, key: Key) -> DigitBatch:
        del resident

        def one(key: Key, image: Array) -> Array:
            return generate(key[None], image[None], jnp.zeros(1, jnp.int32))[0]

        x = jax.vmap(one)(example_keys(key, fed.ids), fed.images)
        return DigitBatch(x, fed.labels, fed.ids)

    return of_stream if isinstance(data.source, StreamedSource) else of_resident


def no_batch(*_: Any) -> DigitBatch:
    """Refuse to make a batch: the learner of a model without its data makes parameters only."""
    raise ValueError("a model without its data has no batches")


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
    x = compose_split(data.compose, key, images.images)
    return Images(x, label_split(data.label, key, images.labels))


def freeze_split(data: DigitData, seed: int, split: str) -> tuple[Images, Key]:
    """A split's frozen composites, and the key that it is measured with."""
    which, images = _SPLITS[split], getattr(data.source, split)
    if not isinstance(images, Images):
        raise ValueError(f"the {split} split of a stream is not measured: it is not in memory")
    if not len(images.labels):
        raise ValueError(f"there are no {split} images: {data.source.description}")
    return freeze(data, seed, images, which), measure_key(seed, which)


def measure_key(seed: int, which: int) -> Key:
    """The key that random starts and sampled rollouts are measured with."""
    return jax.random.fold_in(jax.random.key(seed), 100 + which)


def picture_key(seed: int) -> Key:
    """The key of the random starts in pictures."""
    return jax.random.fold_in(jax.random.key(seed), 200)
