"""Tasks that compose a batch of images at every step of training, on the device."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt8

from attn_jax import memory
from attn_jax.data.digits import centered, cluttered, translated
from attn_jax.errors import check_name
from attn_jax.types import Key

# (keys [B], images of the split [N, h, w, C], ids [B]) -> composed images [B, H, W, C]
Generate = Callable[[Key, Array, Array], Array]

# name -> (key, digit [h, w, C], all images of the split [N, h, w, C], options) -> [H, W, C]
TASKS = {
    "centered": lambda key, digit, images, **options: centered(key, digit, **options),
    "translated": lambda key, digit, images, **options: translated(key, digit, **options),
    "cluttered": cluttered,
}


def make_generator(
    task: str,
    *,
    size: int | None = None,
    pieces: int = 4,
    piece: int = 8,
    shift: int = 0,
) -> Generate:
    """Make a function that composes a batch of images for a task.

    Args:
      task: "centered", "translated" or "cluttered".
      size: rows and columns of the canvas; the task's own by default.
      pieces, piece: of "cluttered", as in `cluttered`; other tasks ignore them.
      shift: of "centered", as in `centered`.

    Returns:
      generate(keys [B], images uint8 [N, h, w, C], ids int [B]) -> float32 [B, size, size, C]
      in [0, 1], where `images` are all images of the split and `ids` choose among them. An
      example depends on its own key and id and, for clutter, on the images; it does not depend on
      the rest of the batch.

    Raises:
      ValueError: for an unknown task, or a shift for a task that has none.
      UserError: for a canvas that does not fit into memory.

    >>> generate = make_generator("translated", size=40)
    >>> keys = jax.random.split(jax.random.key(0), 2)
    >>> generate(keys, jnp.zeros((5, 28, 28, 1), jnp.uint8), jnp.array([3, 1])).shape
    (2, 40, 40, 1)
    """
    check_name("task", task, TASKS)
    if shift and task != "centered":
        raise ValueError(f"shift is for the task 'centered', not {task!r}; got {shift}")
    memory.check_bytes(f"a canvas of size {size}", 4 * (size or 1) ** 2)
    options = {} if size is None else {"size": size}
    if task == "centered":
        options["shift"] = shift
    if task == "cluttered":
        options |= {"pieces": pieces, "piece": piece}
    example = partial(TASKS[task], **options)

    def generate(
        keys: Key, images: UInt8[Array, "N h w C"], ids: Int[Array, "B"]
    ) -> Float[Array, "B H W C"]:
        return jax.vmap(lambda key, i: example(key, images[i], images))(keys, ids)

    return generate


def _check_split(generate: Generate, key: Key, images: Array) -> None:
    """Refuse canvases that do not fit into memory."""
    one = jax.eval_shape(lambda: generate(key[None], images, jnp.zeros(1, jnp.int32)))
    count, sides = len(images), "x".join(map(str, one.shape[1:]))
    size = count * memory.bytes_of(one) // 4  # a byte a value
    memory.check_bytes(f"{count} composed images of {sides} (data.size)", size, on_host=True)


_fold_keys = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))


def compose_split(
    generate: Generate, key: Key, images: UInt8[Array | np.ndarray, "N h w C"], *, batch: int = 500
) -> UInt8[np.ndarray, "N H W C"]:
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
