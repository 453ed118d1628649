"""The square of mechanisms: any of them on encoded images, with one encoder, core and head."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import viz
from attn_jax.fields import field, section
from attn_jax.models import RecurrentClassifier, square
from attn_jax.modules import SCORES, SQUASHES, Affine, ConvMap, Items, Location
from attn_jax.ops import READS
from attn_jax.parts.classification import ClassifierSettings, classifier_system
from attn_jax.parts.compute import CoreModel, view
from attn_jax.parts.digits import Canvas
from attn_jax.parts.learner import Wiring
from attn_jax.parts.mechanism import (
    ScoredMechanism,
    SpreadMechanism,
    check_dot,
    make_attention,
)
from attn_jax.parts.observe import Observations
from attn_jax.parts.report import Presentation
from attn_jax.types import Estimator, Tag


@section
class MapMechanism(ScoredMechanism, SpreadMechanism):
    """Any mechanism, on the map that an image is encoded to."""

    read: str = field("what is seen of the map", names=("weighted_sum", "mask", "crop", "affine"))
    steps: int = field("choices in a rollout", least=1)
    size: int = field("crop, affine: side of what is read, in places of the map", least=1)
    as_items: bool = field("whether the map's places are a list of items")
    squash: str = field("function that maps the location's mean into [-1, 1]", names=SQUASHES)
    zoom: float = field("scale of the identity that a transformer starts from", above=0)


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
class SquareSections(ClassifierSettings):
    """The sections of a config of the square."""

    mechanism: MapMechanism
    model: EncodedModel

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dot(self.mechanism.scores, self.model.core_widths, self.model.encoder[-1])
        if self.mechanism.as_items and self.mechanism.read not in ("weighted_sum", "mask"):
            raise ValueError(
                "items have no place; mechanism.read must be weighted_sum or mask, "
                f"got {self.mechanism.read!r}"
            )


def wire(settings: SquareSections, canvas: Canvas) -> Wiring:
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

    dummy = jax.ShapeDtypeStruct((1, *canvas.canvas), jnp.float32)
    return Wiring(attention, None, model, mechanism.steps, dummy)


def _proposal(settings: SquareSections, takes: Tag, size: tuple[int, int]) -> nn.Module:
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


def present(settings: SquareSections, canvas: Canvas) -> Presentation:
    """How it is described and drawn."""
    mechanism = settings.mechanism
    glimpses = (
        f"{mechanism.steps} steps of {mechanism.estimator} and {mechanism.read} on an encoded map"
    )
    return Presentation("Recurrent attention", glimpses, partial(draw, settings, canvas.classes))


def draw(
    settings: SquareSections,
    classes: Sequence[str],
    observations: Observations,
    labels: np.ndarray | None,
) -> dict[str, viz.Picture]:
    """Light or an outline over each image for each step."""
    kind, where, patch = on_map(settings, observations)
    titles = [f"read {classes[c]}" for c in observations.answers]
    if labels is not None:
        pairs = zip(titles, observations.answers, labels, strict=True)
        titles = [f"{'✓' if c == y else '✗'} true {classes[y]}, {title}" for title, c, y in pairs]
    figure = viz.attention(observations.images, where, kind=kind, patch=patch, titles=titles)
    picture = viz.Picture(
        viz.to_png(figure),
        "Test images, and what of each the model attended to, step by step.",
        "The policy's mean on test images: light or an outline shows what each step read.",
    )
    return {"paths.png": picture}


def on_map(
    settings: SquareSections, observations: Observations
) -> tuple[str, np.ndarray, tuple[float, float]]:
    """The arguments of `viz.attention` for rollouts on an encoded map: (kind, where, patch)."""
    mechanism, where = settings.mechanism, observations.where
    height, width = settings.model.map_size(observations.images.shape[1:3])
    kind = READS[mechanism.read].takes
    if kind == "weights":
        where = where.reshape(*where.shape[:2], height, width)
    return kind, where, (mechanism.size / height, mechanism.size / width)


SYSTEM = classifier_system(SquareSections, "configs/taxonomy.py", wire, present)
