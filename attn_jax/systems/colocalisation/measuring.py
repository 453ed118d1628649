"""How many objects are found: the overlap of what is read with the box that holds the object."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from attn_jax import memory
from attn_jax.data import from_uint8
from attn_jax.models import Localised
from attn_jax.records import as_text
from attn_jax.systems.colocalisation.images import Searched
from attn_jax.systems.colocalisation.network import Network
from attn_jax.tasks import box_of, overlap, wilson
from attn_jax.training.experiment import Figures
from attn_jax.types import PyTree

ENOUGH = 0.5  # an object is found where its box overlaps by more, as in the paper


class Found(NamedTuple):
    """Where objects were looked for.

    Attributes:
      boxes: [N, 4] in [-1, 1], of what was read.
      grids: [N, h, w, 2], the places that were read.
      views: [N, h, w, C], what was read.
    """

    boxes: np.ndarray
    grids: np.ndarray
    views: np.ndarray


# (params, images uint8 [N, H, W, C]) -> where objects are looked for
Find = Callable[[PyTree, np.ndarray], Found]


def make_find(network: Network, batch: int) -> Find:
    """The search through images, `batch` at a time."""

    def find(params: PyTree, images: Array) -> tuple[Array, Array, Array]:
        seen: Localised = network.module.apply({"params": params}, from_uint8(images))
        return box_of(seen.where), network.grids(seen.where), seen.view

    compiled = memory.within(f"measuring {batch} images (evaluate.batch)", jax.jit(find))

    def find_all(params: PyTree, images: np.ndarray) -> Found:
        count = len(images)
        whole = np.resize(images, (-(-count // batch) * batch, *images.shape[1:]))
        parts = [compiled(params, whole[i : i + batch]) for i in range(0, len(whole), batch)]
        return Found(
            *(np.concatenate(one)[:count] for one in zip(*jax.device_get(parts), strict=True))
        )

    return find_all


def figures_of(network: Network, split: str, found: Found, searched: Searched) -> Figures:
    """The fraction that is not found, of the control too, and the mean overlap."""
    shared = np.asarray(overlap(found.boxes, searched.boxes))
    middle = np.broadcast_to(box_of(network.first), searched.boxes.shape)
    unmoved = np.asarray(overlap(middle, searched.boxes))
    flat, lines = {}, []
    for name, words, values in (
        ("error", "not found", shared),
        ("error_unmoved", "control: not found where the search began", unmoved),
    ):
        missed, total = int((values <= ENOUGH).sum()), len(values)
        low, high = wilson(missed, total)
        stem, error = f"{split}/{name}", missed / total
        flat |= {stem: error, f"{stem}_low": low, f"{stem}_high": high}
        bounds = f"[{100 * low:.2f}, {100 * high:.2f}]"
        lines.append(f"{words:46} {as_text('error', error):>8}  {bounds}")
    flat[f"{split}/overlap"] = float(shared.mean())
    lines.append(f"{'mean overlap':46} {shared.mean():8.3f}")
    return Figures(lines, flat, len(shared))


def with_losses(figures: Figures, split: str, looked: float, there: float) -> Figures:
    """Add the loss where objects were looked for, and that where they are.

    Is the second lower, then the search has not come to its end; is it not, then the loss asks for
    something else than the objects.
    """
    flat = figures.flat | {f"{split}/hinge": looked, f"{split}/hinge_at_objects": there}
    lines = [
        f"{'loss where it looks':46} {looked:8.3f}",
        f"{'loss where they are':46} {there:8.3f}",
    ]
    return figures._replace(flat=flat, lines=[*figures.lines, *lines])
