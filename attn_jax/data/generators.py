"""Tasks that compose a batch of images at every step of training, on the device."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt8

from attn_jax import memory
from attn_jax.data.digits import centered, cluttered, translated
from attn_jax.data.distortions import bent, projected, rotated, rotated_scaled_translated
from attn_jax.data.scenes import (
    colocalised,
    labels_of_sequence,
    rotated_scaled_cluttered,
    sequence,
)
from attn_jax.data.sums import classes_of_sums, sum_of_pair, summed
from attn_jax.data.volumes import extruded
from attn_jax.errors import check_name
from attn_jax.types import Key

# (keys [B], images of the split [N, h, w, C], ids [B]) -> composed images [B, *x]
Generate = Callable[[Key, Array, Array], Array]
# (keys [B], labels of the split [N], ids [B]) -> labels [B, *y] of what is composed with these keys
Label = Callable[[Key, Array, Array], Array]


@runtime_checkable
class Compose(Protocol):
    """Composes one example of a digit and, if need be, of all images of the split."""

    def __call__(self, key: Key, digit: Array, images: Array, /, **options) -> Array: ...


@runtime_checkable
class LabelOne(Protocol):
    """Gives the label of what is composed with a key of image i of a split with these labels."""

    def __call__(self, key: Key, labels: Array, i: Array, /) -> Array: ...


@runtime_checkable
class NameClasses(Protocol):
    """Names the classes of what is composed, by those of the images."""

    def __call__(self, classes: Sequence[str], /) -> tuple[str, ...]: ...


class Task(NamedTuple):
    """A way to compose examples.

    Attributes:
      compose: of one example.
      options: the names of the options that it takes beside `size`.
      from_all: whether other images of the split are part of an example.
      label: of one example.
      classes: of its examples.
    """

    compose: Compose
    options: tuple[str, ...] = ()
    from_all: bool = False
    label: LabelOne = lambda key, labels, i: labels[i]
    classes: NameClasses = tuple


def _alone(compose: Callable[..., Array]) -> Compose:
    """Compose of the digit alone."""
    return lambda key, digit, images, **options: compose(key, digit, **options)


_CLUTTER = ("pieces", "piece")
_SIMILAR = ("angle", "scale")

TASKS: Mapping[str, Task] = {
    "centered": Task(_alone(centered), ("shift",)),
    "translated": Task(_alone(translated)),
    "cluttered": Task(cluttered, _CLUTTER, from_all=True),
    "rotated": Task(_alone(rotated), ("angle",)),
    "rotated_scaled_translated": Task(_alone(rotated_scaled_translated), _SIMILAR),
    "projected": Task(_alone(projected), ("scale", "sigma")),
    "bent": Task(_alone(bent), ("scale", "sigma")),
    "summed": Task(summed, from_all=True, label=sum_of_pair, classes=classes_of_sums),
    "rotated_scaled_cluttered": Task(rotated_scaled_cluttered, _SIMILAR + _CLUTTER, from_all=True),
    "colocalised": Task(colocalised, _CLUTTER, from_all=True),
    "sequence": Task(sequence, _CLUTTER, from_all=True, label=labels_of_sequence),
    "extruded": Task(_alone(extruded), ("angle", "depth")),
}


def make_generator(
    task: str,
    *,
    size: int | None = None,
    pieces: int | None = None,
    piece: int | None = None,
    shift: int = 0,
    angle: float | None = None,
    scale: tuple[float, float] | None = None,
    sigma: float | None = None,
    depth: int | None = None,
) -> Generate:
    """Make a function that composes a batch of images for a task.

    None is the task's own, which is that of the paper.

    Args:
      task: a name in `TASKS`.
      size: rows and columns of the canvas.
      pieces, piece: of tasks with clutter, as in `cluttered`; other tasks ignore them.
      shift: of "centered", as in `centered`.
      angle: the largest rotation, in degrees.
      scale: the smallest and the largest scale; more than 1 makes the digit larger.
      sigma: standard deviation of what points of "projected" and "bent" are moved by, in pixels.
      depth: of "extruded", as in `extruded`.

    Returns:
      generate(keys [B], images uint8 [N, h, w, C], ids int [B]) -> float32 [B, *x] in [0, 1],
      where `images` are all images of the split and `ids` choose among them; x is [size, size, C],
      or as the task says. An example depends on its own key and id and, if the task is `from_all`,
      on the images; it does not depend on the rest of the batch, and no bit of it on what compiles
      it.

    Raises:
      ValueError: for an unknown task, or an option, but pieces and piece, that the task has not.
      UserError: for a canvas that does not fit into memory.

    >>> generate = make_generator("translated", size=40)
    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> generate(keys, jnp.zeros((5, 28, 28, 1), jnp.uint8), jnp.array([3, 1])).shape
    (2, 40, 40, 1)
    """
    check_name("task", task, TASKS)
    row = TASKS[task]
    memory.check_bytes(f"a canvas of size {size}", 4 * (size or 1) ** 2)
    given = {"shift": shift or None, "angle": angle, "scale": scale, "sigma": sigma, "depth": depth}
    for name, value in given.items():
        if value is not None and name not in row.options:
            raise ValueError(_not_of_task(name, task, value))
    given |= {"pieces": pieces, "piece": piece, "size": size}
    options = {name: given[name] for name in (*row.options, "size") if given[name] is not None}
    example = partial(row.compose, **options)

    def generate(
        keys: Key, images: UInt8[Array, "N h w C"], ids: Int[Array, "B"]
    ) -> Float[Array, "B *x"]:
        return jax.vmap(lambda key, i: example(key, images[i], images))(keys, ids)

    return generate


def _not_of_task(name: str, task: str, value: object) -> str:
    able = [repr(other) for other, one in TASKS.items() if name in one.options]
    tasks = "task" if len(able) == 1 else "tasks"
    return f"{name} is for the {tasks} {', '.join(able)}, not {task!r}; got {value}"


def make_labels(task: str) -> Label:
    """Make the function that labels what `make_generator`'s composes with the same keys and ids.

    Raises:
      ValueError: for an unknown task.
    """
    check_name("task", task, TASKS)
    one = TASKS[task].label
    return lambda keys, labels, ids: jax.vmap(one, (0, None, 0))(keys, labels, ids)


def label_split(label: Label, key: Key, labels: Int[Array | np.ndarray, "N"]) -> np.ndarray:
    """Label what `compose_split` composes of a split with the same key.

    Args:
      label: made by `make_labels`.
      key: of `compose_split`.
      labels: of the split.
    """
    ids = jnp.arange(len(labels))
    made = jax.jit(label)(_fold_keys(key, ids), jnp.asarray(labels), ids)
    return np.asarray(made).astype(labels.dtype)


def _check_split(generate: Generate, key: Key, images: Array) -> None:
    """Refuse canvases that do not fit into memory."""
    one = jax.eval_shape(lambda: generate(key[None], images, jnp.zeros(1, jnp.int32)))
    count, sides = len(images), "x".join(map(str, one.shape[1:]))
    size = count * memory.bytes_of(one) // 4  # a byte a value
    memory.check_bytes(f"{count} composed images of {sides} (data.size)", size, on_host=True)


_fold_keys = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))


def compose_split(
    generate: Generate, key: Key, images: UInt8[Array | np.ndarray, "N h w C"], *, batch: int = 500
) -> UInt8[np.ndarray, "N *x"]:
    """Compose every image of a split once, for a validation or test set that never changes.

    Example i is composed with the key fold_in(key, i), whatever the batch.

    Args:
      generate: made by `make_generator`.
      key: another key gives another set.
      images: of the split.
      batch: the number of images composed at a time.

    Raises:
      UserError: for canvases that do not fit into memory.

    Returns:
      Levels 0 to 255; `from_uint8` of them is exactly what `generate` returns.
    """
    images, n = jnp.asarray(images), len(images)
    _check_split(generate, key, images)
    compose = memory.within("composing images of data.size", jax.jit(generate))

    def levels(start: int) -> np.ndarray:
        ids = jnp.arange(start, start + batch) % n  # one shape: compiled once
        made = compose(_fold_keys(key, ids), images, ids)
        return np.rint(255 * np.asarray(made)).astype(np.uint8)

    return np.concatenate([levels(start) for start in range(0, n, batch)])[:n]
