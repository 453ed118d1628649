"""The network measured on images: its errors, and those of its control."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from attn_jax import memory
from attn_jax.data import Images, from_uint8
from attn_jax.models import Transformed
from attn_jax.parts.digits import DigitData, freeze_split
from attn_jax.parts.policies import Answers, batches
from attn_jax.records import as_text
from attn_jax.systems.spatial_transformer.network import Network
from attn_jax.systems.spatial_transformer.sections import TransformerSections
from attn_jax.tasks import wilson
from attn_jax.training.experiment import Figures
from attn_jax.types import PyTree

# A way to answer, as figures name it after "error_" ("" for the network itself) -> in words.
WAYS = {
    "": "the network",
    "shifted": "averaged over the image and four shifts of it",
    "unmoved": "control: transforms stay where they started",
}


class Measured(NamedTuple):
    """Answers to a split's images, by the way they were given.

    Attributes:
      split: its name.
      images: its frozen composites, with their labels [N], of several objects [N, T].
      answers: way -> answers, of N objects or of N T.
    """

    split: str
    images: Images
    answers: Mapping[str, Answers]

    @property
    def figures(self) -> Figures:
        """Errors with their 95 % Wilson intervals, fractions; of several objects, of each of them.

        An image of several objects is wrong if one of them is: "sequence_error" of the network.
        """
        flat, lines = {}, []

        def add(name: str, words: str, error: float, low: float, high: float) -> None:
            stem = f"{self.split}/{name}"
            flat.update({stem: error, f"{stem}_low": low, f"{stem}_high": high})
            bounds = f"[{100 * low:.2f}, {100 * high:.2f}]"
            lines.append(f"{words:46} {as_text('error', error):>8}  {bounds}")

        for way, one in self.answers.items():
            add(f"error{way and '_' + way}", WAYS[way], *one.error())
        if self.images.labels.ndim == 2:
            add("sequence_error", "the network, all of an image's objects", *self.sequence_error)
        return Figures(lines, flat, next(iter(self.answers.values())).total)

    @property
    def sequence_error(self) -> tuple[float, float, float]:
        """The fraction of images with a wrong object, and its interval."""
        right = self.answers[""].given.reshape(self.images.labels.shape) == self.images.labels
        wrong, total = int((~right.all(1)).sum()), len(right)
        return wrong / total, *wilson(wrong, total)


# (params, images in [0, 1] [B, ...]) -> probabilities [B, classes], of several objects [B, T, ...]
Probabilities = Callable[[PyTree, Array], Float[Array, "B *T K"]]


def ways(settings: TransformerSections, network: Network) -> dict[str, Probabilities]:
    """Ways to answer: the network's, over shifted images, with transforms that never learned."""
    module = network.module

    def plain(params: PyTree, x: Array) -> Array:
        return jax.nn.softmax(module.apply({"params": params}, x).logits)

    def shifted(params: PyTree, x: Array) -> Array:
        moved = [x, *_shifts(x, settings.evaluate.shift)]
        return jnp.stack([plain(params, one) for one in moved]).mean(0)

    def unmoved(params: PyTree, x: Array) -> Array:
        views = network.unmoved(x)
        logits = module.apply({"params": params}, views, method="classify_views")
        return jax.nn.softmax(logits)

    found: dict[str, Probabilities] = {"": plain}
    if settings.evaluate.shift and network.rank == 2:
        found["shifted"] = shifted
    if network.transform is not None:
        found["unmoved"] = unmoved
    return found


def _shifts(x: Array, pixels: int) -> list[Array]:
    """Images [B, H, W, C] moved left, right, up and down; what comes in is black."""
    padded = jnp.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    h, w = x.shape[1:3]
    starts = [(pixels, 0), (pixels, 2 * pixels), (0, pixels), (2 * pixels, pixels)]
    return [padded[:, i : i + h, j : j + w] for i, j in starts]


@runtime_checkable
class Measure(Protocol):
    """Measures parameters on a split."""

    def __call__(self, params: PyTree, split: str, chosen: Sequence[str] | None = None) -> Measured:
        """Answer the split's images in all ways, or the chosen ones."""
        ...


def make_measure(settings: TransformerSections, network: Network, data: DigitData) -> Measure:
    """The measure of the network on the data's frozen splits."""
    of_way = {way: _compiled(settings, f) for way, f in ways(settings, network).items()}

    @cache
    def split_images(split: str) -> Images:
        return freeze_split(data, settings.data.seed, split)[0]

    def measure(params: PyTree, split: str, chosen: Sequence[str] | None = None) -> Measured:
        frozen, answers = split_images(split), {}
        for way in of_way if chosen is None else chosen:
            parts = batches(frozen.images, settings.evaluate.batch)
            given = [of_way[way](params, part) for part, _ in parts]
            classes = np.concatenate(given)[: len(frozen.labels)].reshape(-1, 1)
            answers[way] = Answers(classes, frozen.labels.reshape(-1))
        return Measured(split, frozen, answers)

    return measure


def _compiled(
    settings: TransformerSections, probabilities: Probabilities
) -> Callable[[PyTree, np.ndarray], np.ndarray]:
    """(params, images uint8 [B, ...]) -> classes [B], of several objects [B, T]."""
    what = f"measuring {settings.evaluate.batch} images (evaluate.batch)"
    answer = memory.within(what, jax.jit(lambda p, x: probabilities(p, from_uint8(x)).argmax(-1)))
    return lambda params, images: np.asarray(answer(params, images))


class Looks(NamedTuple):
    """Where transformers read in some images, as arrays for pictures.

    Attributes:
      images: [N, H, W, C].
      grids: [N, P, h, w, 2], the places that each of P transformers read, or that were read at each
        of P steps.
      views: [N, P, h, w, C], what it read.
      answers: [N], the likeliest classes; of several objects [N, P].
    """

    images: np.ndarray
    grids: np.ndarray
    views: np.ndarray
    answers: np.ndarray


def named(classes: Sequence[str], answers: np.ndarray) -> list[str]:
    """The classes of each image's objects, which may be one, from answers or labels [N, ...]."""
    return [" ".join(classes[c] for c in row) for row in answers.reshape(len(answers), -1)]


def look(network: Network, params: PyTree, images: np.ndarray) -> Looks:
    """Where the network's transformers read in images uint8 [N, ...]; it has one at least."""

    @jax.jit
    def looked(params: PyTree, x: Array) -> tuple[Array, Array, Array]:
        out: Transformed = network.module.apply({"params": params}, x)
        return *network.reads(x, jnp.stack(out.where, 1)), out.logits.argmax(-1)

    x = np.asarray(from_uint8(images))
    return Looks(x, *map(np.asarray, looked(params, x)))
