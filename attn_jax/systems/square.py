"""The square of mechanisms on encoded images: encoder, core, head and steps alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from attn_jax import viz
from attn_jax.fields import field, section
from attn_jax.models import RecurrentClassifier, square
from attn_jax.modules import SCORES, SQUASHES, Affine, ConvMap, Items, Location
from attn_jax.ops import READS
from attn_jax.parts.classification import (
    ClassifierSettings,
    Presentation,
    Reading,
    classification,
    classifier,
    read_pictures,
)
from attn_jax.parts.compute import CoreModel, view
from attn_jax.parts.digits import Canvas, load_digits
from attn_jax.parts.mechanism import ScoredMechanism, check_dot, make_attention
from attn_jax.parts.objective import Wiring
from attn_jax.parts.pictures import Looks
from attn_jax.training.experiment import Experiment, Model, System
from attn_jax.types import Estimator, PyTree, Tag


@section
class OnMap(ScoredMechanism):
    """Any mechanism, on the map that an image is encoded to."""

    learn_spread: bool = field("whether sigma starts at spread and is the network's to change")
    read: str = field("what is seen of the map", names=("weighted_sum", "mask", "crop", "affine"))
    steps: int = field("choices in a rollout", least=1)
    size: int = field("crop, affine: of what is read, places of the map", least=1)
    as_items: bool = field("whether the map's places are a list of items")
    squash: str = field("of the location's mean into [-1, 1]", names=SQUASHES)
    zoom: float = field("of the identity that a transformer starts from", above=0)


@section
class EncodedModel(CoreModel):
    """Widths of the encoder, the scores, the location head and the core."""

    encoder: tuple[int, ...] = field(
        "features of the encoder's convolutions, each halving the image", least=1
    )
    coordinates: bool = field("whether its last layer sees where each place is")
    score_features: int = field("width of the comparison of items with the state", least=1)
    location_hidden: tuple[int, ...] = field(
        "units of ReLU layers before a point or a transform", least=1, empty=True
    )
    features: int = field("units of the layer that fuses what was read", least=1)

    def map_size(self, canvas: tuple[int, ...]) -> tuple[int, int]:
        """(H, W) of an encoded image, which each convolution halves."""
        halved = 2 ** len(self.encoder)
        return -(-canvas[0] // halved), -(-canvas[1] // halved)


@section
class Sections(ClassifierSettings):
    """The sections of a config of the square."""

    mechanism: OnMap
    model: EncodedModel

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dot(self.mechanism.scores, self.model.core_widths, self.model.encoder[-1])
        if self.mechanism.as_items and self.mechanism.read not in ("weighted_sum", "mask"):
            raise ValueError(
                "items have no place; mechanism.read must be weighted_sum or mask, "
                f"got {self.mechanism.read!r}"
            )


def prepare(settings: Sections) -> Experiment:
    """The experiment: images, the model wired for them, and how it is described."""
    data = load_digits(settings.data)
    wiring = wire(settings, data.canvas)
    return classification(settings, data, wiring, _presentation(settings))


def wire(settings: Sections, canvas: Canvas) -> Wiring:
    """The mechanism, and the classifier around it.

    Raises:
      ValueError: for an estimator and a read that do not fit.
    """
    mechanism, widths, compute = settings.mechanism, settings.model, settings.compute
    attention = make_attention(mechanism, settings.train.steps)
    encode = ConvMap(widths.encoder, compute.jax_dtype, widths.coordinates)
    propose = _proposal(settings, attention.read.takes, widths.map_size(canvas.canvas))

    def model(estimator: Estimator, start: Estimator | None) -> RecurrentClassifier:
        del start  # the first state has seen the mean annotation
        return square(
            propose=propose,
            estimator=estimator,
            read=attention.read,
            encode=Items(encode) if mechanism.as_items else encode,
            mean_axes=(1,) if mechanism.as_items else (1, 2),
            num_classes=canvas.num_classes,
            num_steps=mechanism.steps,
            cells=widths.cells(compute),
            features=widths.features,
            **compute.loop(mechanism.steps),
        )

    dummy = jnp.zeros((1, *canvas.canvas))
    return Wiring(attention, None, model, mechanism.steps, dummy)


def _proposal(settings: Sections, takes: Tag, size: tuple[int, int]) -> nn.Module:
    """The proposal that the read's tag asks for."""
    mechanism, widths, dtype = settings.mechanism, settings.model, settings.compute.jax_dtype
    seen = view(mechanism.detach)
    if takes == "point":
        sigma = mechanism.spread if mechanism.learn_spread else None
        return Location(widths.location_hidden, SQUASHES[mechanism.squash], seen, dtype, sigma)
    if takes == "theta":
        return Affine(widths.location_hidden, mechanism.zoom, seen, dtype)
    places = (size[0] * size[1],) if mechanism.as_items else size
    return SCORES[mechanism.scores](widths.score_features, seen, dtype, places)


def rebuild(settings: Sections, facts: Mapping[str, Any]) -> Model:
    """The model without its data."""
    return classifier(settings, wire(settings, Canvas.of(facts)))


def ask(
    settings: Sections, facts: Mapping[str, Any], variables: PyTree, paths: Sequence[str]
) -> tuple[list[Reading], bytes]:
    """The class of each picture, and what each step read of it."""
    canvas = Canvas.of(facts)
    wiring = wire(settings, canvas)
    return read_pictures(settings, canvas, wiring, _presentation(settings), variables, paths)


def _presentation(settings: Sections) -> Presentation:
    mechanism = settings.mechanism
    glimpses = (
        f"{mechanism.steps} steps of {mechanism.estimator} and {mechanism.read} on an encoded map"
    )
    return Presentation(
        "Recurrent attention", glimpses, lambda looks, labels: draw(settings, looks, labels)
    )


def draw(settings: Sections, looks: Looks, labels: np.ndarray | None) -> dict[str, viz.Picture]:
    """Light or an outline over each image for each step."""
    kind, where, patch = on_map(settings, looks)
    titles = [f"read {c}" for c in looks.answers]
    if labels is not None:
        pairs = zip(titles, looks.answers, labels, strict=True)
        titles = [f"{'✓' if c == y else '✗'} true {y}, {title}" for title, c, y in pairs]
    figure = viz.attention(looks.images, where, kind=kind, patch=patch, titles=titles)
    picture = viz.Picture(
        viz.to_png(figure),
        "Test images, and what of each the model attended to, step by step.",
        "The policy's mean on test images: light or an outline shows what each step read.",
    )
    return {"paths.png": picture}


def on_map(settings: Sections, looks: Looks) -> tuple[str, np.ndarray, tuple[float, float]]:
    """The arguments of `viz.attention` for rollouts on an encoded map: (kind, where, patch)."""
    mechanism, where = settings.mechanism, looks.where
    height, width = settings.model.map_size(looks.images.shape[1:3])
    kind = READS[mechanism.read].takes
    if kind == "weights":
        where = where.reshape(*where.shape[:2], height, width)
    return kind, where, (mechanism.size / height, mechanism.size / width)


SYSTEM = System(Sections, "configs/taxonomy.py", prepare, rebuild, ask)
