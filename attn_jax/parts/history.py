"""Where transformers read over training: kept at each validation, an animation in the end."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax import viz
from attn_jax.data import from_uint8
from attn_jax.records import Row
from attn_jax.training.experiment import History
from attn_jax.training.state import TrainState
from attn_jax.types import PyTree

SHOWN = 4  # inputs
_FRAMES = 40


class Watched(NamedTuple):
    """Inputs in which transformers are watched.

    Attributes:
      images: uint8 [N, H, W, C], or volumes [N, D, H, W, C].
      titles: [N], above each; None: no titles.
    """

    images: np.ndarray
    titles: Sequence[str] | None = None


# (parameters, inputs in [0, 1] [N, ...]) -> transforms [N, P, ...] of P transformers
Where = Callable[[PyTree, Array], Array]
# (inputs, transforms) -> the places that they read, [N, P, *size, rank], and what is there
Reads = Callable[[Array, Array], tuple[Array, Array]]


def transform_history(
    watched: Callable[[], Watched], shape: tuple[int, ...], where: Where, reads: Reads
) -> History:
    """The history of transforms, drawn as "transforms.gif".

    A row has all their numbers, one after the other, as "where/0", "where/1", ….

    Args:
      watched: () -> the inputs; called once.
      shape: [P, ...] of the transforms of one input.
      where: the transforms of these inputs.
      reads: what transforms read in these inputs.
    """

    @cache
    def inputs() -> tuple[Array, Sequence[str] | None]:
        images, titles = watched()
        return from_uint8(images), titles

    def keep(state: TrainState) -> Row:
        found = np.asarray(where(state.evaluated, inputs()[0]))
        return {f"where/{i}": float(x) for i, x in enumerate(found.ravel())}

    def draw(rows: Sequence[Row]) -> dict[str, viz.Picture]:
        x, titles = inputs()
        names = [f"where/{i}" for i in range(len(x) * math.prod(shape))]
        # A damaged line may have lost a name and still be one.
        whole = [row for row in rows if all(name in row for name in names)]
        if len(whole) < 2:
            return {}
        some = [whole[i] for i in evenly(len(whole))]
        kept = np.array([[row[name] for name in names] for row in some], np.float32)
        read = [reads(x, jnp.asarray(one)) for one in kept.reshape(len(some), len(x), *shape)]
        grids, views = (np.stack(each) for each in zip(*read, strict=True))
        steps = [int(row["step"]) for row in some]
        gif = viz.transforms_gif(np.asarray(x), grids, views, steps, titles=titles)
        told = "What each transformer reads, at each validation."
        return {"transforms.gif": viz.Picture(gif, "Outlines that move over training.", told)}

    return History(keep, draw)


def evenly(count: int, most: int = _FRAMES) -> list[int]:
    """The first and the last of so many, and others between them, `most` at most.

    >>> evenly(9, 4)
    [0, 3, 5, 8]
    """
    return [round(i) for i in np.linspace(0, count - 1, min(count, most))]
