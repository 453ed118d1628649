"""The images that are searched, and the single digits that the encoder learns from."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt8

from attn_jax.data import Images, colocalised_box, from_uint8, make_generator
from attn_jax.parts.digits import DigitData, example_keys
from attn_jax.systems.colocalisation.sections import ColocalisationSections
from attn_jax.types import Key

_SPLITS = {"train": 0, "validation": 1, "test": 2}  # what their composites are frozen by


class Searched(NamedTuple):
    """Images of one class: uint8 [N, H, W, C], and the boxes [N, 4] of their objects in [-1, 1]."""

    images: UInt8[np.ndarray, "N H W C"]
    boxes: Float[np.ndarray, "N 4"]


class Resident(NamedTuple):
    """Arrays on the device: the encoder's digits, and the images that are searched."""

    digits: Images
    searched: Array


class Batch(NamedTuple):
    """A batch: single digits [B, h, w, C] with their labels [B], and images to be searched."""

    digits: Array
    labels: Array
    images: Array


def compose_searched(
    settings: ColocalisationSections, data: DigitData, split: str = "test"
) -> Searched:
    """Compose the images of the common class from a split's digits, once and for all.

    A digit is used again, elsewhere and among other pieces, where the split has too few.

    Raises:
      ValueError: if the split has no digit of the class.
    """
    section, source = settings.data, getattr(data.source, split)
    of_class = np.flatnonzero(np.asarray(source.labels) == section.common)
    if not len(of_class):
        raise ValueError(
            f"data.common={section.common} names no class of the {split} images, which are "
            f"{', '.join(data.canvas.classes)}"
        )
    chosen = np.resize(of_class, section.count)
    # Pieces come from all images of the split; the composed digit is image i of those chosen.
    images = np.asarray(source.images)
    key = jax.random.fold_in(jax.random.key(section.seed), _SPLITS[split])
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(section.count))
    return Searched(
        _levels(data.compose, keys, images, chosen),
        np.asarray(_boxes(keys, images.shape[1:3], data.canvas.canvas[0])),
    )


def _levels(compose: Callable, keys: Key, images: np.ndarray, ids: np.ndarray) -> np.ndarray:
    made = jax.jit(compose)(keys, jnp.asarray(images), jnp.asarray(ids))
    return np.rint(255 * np.asarray(made)).astype(np.uint8)


def _boxes(keys: Key, digit: tuple[int, ...], size: int) -> Array:
    return jax.vmap(lambda key: colocalised_box(key, digit, size=size))(keys)


def make_batch(settings: ColocalisationSections) -> Callable[[Resident, Array, Key], Batch]:
    """(resident, ids of single digits, key) -> a batch."""
    data, size, shift = settings.data, settings.mechanism.size, settings.mechanism.shift
    wide = size + 2 * shift
    # As many pieces to a pixel as there are on a canvas.
    assert data.size is not None and data.pieces is not None  # `prepare` has refused it
    pieces = round(data.pieces * (wide / data.size) ** 2)
    single = make_generator("cluttered", size=wide, pieces=pieces, piece=data.piece)

    def batch(resident: Resident, ids: Array, key: Key) -> Batch:
        of_digits, of_images = jax.random.split(key)
        moved = single(example_keys(of_digits, ids), resident.digits.images, ids)
        digits = moved[:, shift : shift + size, shift : shift + size]
        count = len(resident.searched)
        chosen = jax.random.permutation(of_images, count)[: min(len(ids), count)]
        images = from_uint8(resident.searched[chosen])
        return Batch(digits, resident.digits.labels[ids], images)

    return batch
