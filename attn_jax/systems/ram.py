"""The recurrent attention model on images of classes (Mnih et al. 2014)."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import viz
from attn_jax.estimators import CONTROLS
from attn_jax.fields import construct, field, section
from attn_jax.models import RecurrentClassifier, ram
from attn_jax.modules import SQUASHES
from attn_jax.ops import check_glimpse
from attn_jax.parts.classification import ClassifierSettings, classifier_system
from attn_jax.parts.compute import CoreModel, view
from attn_jax.parts.digits import Canvas
from attn_jax.parts.learner import Wiring
from attn_jax.parts.mechanism import SpreadMechanism, make_attention
from attn_jax.parts.observe import Observations
from attn_jax.parts.report import Presentation
from attn_jax.types import Estimator


@section
class Glimpses(SpreadMechanism):
    """Glimpses at points of an image."""

    read: str = field("what is seen at a point", names=("retina", "crop"))
    steps: int = field("glimpses", least=1)
    size: int = field("side of a glimpse, pixels", least=1)
    scales: int = field("retina: how many patches a glimpse has", least=1, most=64)
    ratio: float = field("retina: how much wider each next patch is", least=1, most=1000)
    unit: float | None = field(
        "pixels from the centre at location +-1; 0: the image's edge; None: one pixel inside it",
        least=0,
    )
    start: str = field("where the first glimpse is", names=CONTROLS["point"])
    squash: str = field("function that maps the location's mean into [-1, 1]", names=SQUASHES)

    @property
    def patch_sizes(self) -> tuple[float, ...]:
        """Sides of the squares a glimpse covers, finest first, pixels."""
        return viz.patch_sizes(self.size, self.scales if self.read == "retina" else 1, self.ratio)

    def unit_on(self, canvas: tuple[int, ...]) -> float:
        """The unit on a canvas [H, W, C], pixels; 0: the image's edge."""
        return max(1.0, canvas[0] / 2 - 1) if self.unit is None else self.unit


@section
class GlimpseModel(CoreModel):
    """Widths of the glimpse network, the core and the location head."""

    glimpse_hidden: int = field("units of h_g and h_l", least=1)
    glimpse_features: int = field("units of g; 256 in the paper", least=1)
    location_hidden: tuple[int, ...] = field(
        "units of ReLU layers in the location head; () in the paper", least=1, empty=True
    )


@section
class RamSections(ClassifierSettings):
    """The sections of a RAM config."""

    mechanism: Glimpses
    model: GlimpseModel


def wire(settings: RamSections, canvas: Canvas) -> Wiring:
    """The mechanism, and RAM around it.

    Raises:
      ValueError: for an estimator that gives no points, or a glimpse wider than the image.
    """
    mechanism, compute = settings.mechanism, settings.compute
    unit = mechanism.unit_on(canvas.canvas)
    attention = make_attention(mechanism, settings.train.steps, unit=unit or None)
    if mechanism.read == "retina":
        check_glimpse(
            canvas.canvas, (mechanism.size,) * 2, mechanism.ratio ** (mechanism.scales - 1)
        )
    places = CONTROLS["point"]
    start = places[mechanism.policy if mechanism.policy in places else mechanism.start]

    def model(estimator: Estimator, start: Estimator | None) -> RecurrentClassifier:
        return construct(
            ram,
            settings.model,
            estimator=estimator,
            read=attention.read,
            start=start,
            num_classes=canvas.num_classes,
            num_steps=mechanism.steps,
            cells=settings.model.cells(compute),
            squash=SQUASHES[mechanism.squash],
            sigma=mechanism.spread if mechanism.learn_spread else None,
            view=view(mechanism.detach),
            **compute.loop(mechanism.steps),
        )

    dummy = jax.ShapeDtypeStruct((1, *canvas.canvas), jnp.float32)
    return Wiring(attention, start, model, mechanism.steps, dummy)


def present(settings: RamSections, canvas: Canvas) -> Presentation:
    """How it is described and drawn."""
    mechanism = settings.mechanism
    unit = mechanism.unit_on(canvas.canvas) or canvas.canvas[0] / 2
    glimpses = (
        f"{mechanism.steps} glimpses of {mechanism.size}x{mechanism.size}, "
        f"{mechanism.scales} scale(s), at most {unit:g} pixels from the centre"
    )
    return Presentation("RAM", glimpses, partial(draw, mechanism, canvas.classes))


def draw(
    mechanism: Glimpses,
    classes: Sequence[str],
    observations: Observations,
    labels: np.ndarray | None,
) -> dict[str, viz.Picture]:
    """Paths of glimpses over the images; with labels also the first of them as an animation."""
    places = observations.where * _frame(mechanism, observations.images.shape)
    # A crop has one scale, and no axis for it.
    glimpses = (
        observations.glimpses
        if observations.glimpses.ndim == 6
        else observations.glimpses[:, :, None]
    )
    sizes = mechanism.patch_sizes
    figure = viz.glimpse_paths(
        observations.images,
        places,
        glimpses,
        labels,
        observations.answers,
        sizes=sizes,
        class_names=classes,
    )
    paths = viz.Picture(
        viz.to_png(figure),
        "Test images with the numbered path of glimpses, and the patch each glimpse saw.",
        "The policy's mean on test images: the path of glimpses, and what each one saw.",
    )
    if labels is None:
        return {"paths.png": paths}
    gif = viz.rollout_gif(
        observations.images[0],
        places[0],
        glimpses[0],
        sizes=sizes,
        label=int(labels[0]),
        probabilities=observations.probabilities[0],
        class_names=classes,
    )
    rollout = viz.Picture(
        gif,
        "Animation of one rollout: the glimpse, the pixels seen so far, the class probabilities.",
        "One rollout, glimpse by glimpse.",
    )
    return {"paths.png": paths, "rollout.gif": rollout}


def _frame(mechanism: Glimpses, shape: tuple[int, ...]) -> np.ndarray:
    """From location units to the image's frame, for (x, y)."""
    unit, (height, width) = mechanism.unit_on(shape[1:]), shape[1:3]
    return np.array([2 * unit / width, 2 * unit / height]) if unit else np.ones(2)


SYSTEM = classifier_system(RamSections, "configs/ram_mnist.py", wire, present)
