"""The sections of a config of spatial transformer networks."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from attn_jax.fields import field, section
from attn_jax.ops import transforms
from attn_jax.ops.padding import PADDINGS
from attn_jax.ops.transforms import Transform
from attn_jax.parts.compute import CoreModel, Sampling
from attn_jax.parts.digits import Digits
from attn_jax.training.settings import Evaluate, Settings, Train


class Family(NamedTuple):
    """A family of transforms, and the vector that it starts from."""

    transform: Transform
    start: Float[np.ndarray, "n"]


@runtime_checkable
class MakeFamily(Protocol):
    """Makes a family that starts at `zoom` times the identity.

    It raises ValueError where the family has no other scale.
    """

    def __call__(self, zoom: float, /) -> Family: ...


def _scaled(make_transform: Callable[[], Transform]) -> MakeFamily:
    """A family whose identity, times a number, is the vector of that zoom."""

    def make(zoom: float) -> Family:
        transform = make_transform()
        return Family(transform, zoom * np.asarray(transform.identity))

    return make


def _unscaled(name: str, make_transform: Callable[[], Transform]) -> MakeFamily:
    def make(zoom: float) -> Family:
        if zoom != 1:
            raise ValueError(f"mechanism.zoom must be 1 for {name}; got {zoom:g}")
        return _scaled(make_transform)(zoom)

    return make


def _shifted(zoom: float) -> Family:
    return Family(transforms.translation(zoom), np.zeros(2))


# name -> (zoom) -> the family and its first vector; made when asked for, since the arrays of a
# transform start JAX's backend, which processes must join first
TRANSFORMS: Mapping[str, MakeFamily] = {
    "translation": _shifted,
    "isotropic": _scaled(transforms.isotropic),
    "rotation": _unscaled("rotation", transforms.rotation),
    "similarity": _scaled(transforms.similarity),
    "axis_aligned": _scaled(transforms.axis_aligned),
    "affine": _scaled(transforms.full_affine),
    "projective": _scaled(transforms.projective),
    "corners": _unscaled("corners", transforms.corners),
    "control_points": _scaled(transforms.control_points),
    "affine_3d": _scaled(transforms.affine_3d),
}
NONE = "none"


@section
class Transformers:
    """The spatial transformers in front of the classifier."""

    transform: str = field(
        "family of the transforms; none: the classifier alone", names=(NONE, *TRANSFORMS)
    )
    parallel: int = field("how many see the image, side by side", least=1, most=16)
    steps: int = field(
        "transforms one after the other, by a recurrent core, each with an answer of its own; 0: "
        "one answer, without a core",
        least=0,
        most=16,
    )
    size: int | None = field("side of what each reads, pixels; None: the canvas's", least=1)
    padding: str = field("how the image goes on outside", names=PADDINGS)
    fill: float = field("constant padding: the level there", least=-1000)
    zoom: float = field("scale that the transforms start at; below 1 they see a part", above=0)
    bound: float = field(
        "how far each number of a transform may go from the identity's; 0: as far as it likes",
        least=0,
    )
    last_layer: float = field(
        "standard deviation of the first weights of the localisation's last layer; 0, as in the "
        "paper: all transforms start alike",
        least=0,
    )
    penalty: float = field("weight of the mean squared distance from the identity", least=0)
    rate: float = field(
        "number that the localisation's learning rate is multiplied by; 0: it stays where it began",
        least=0,
    )


@section
class Nets(CoreModel):
    """Widths of the localisation network, of the core if there is one, and of the classifier."""

    localisation_filters: tuple[int, ...] = field("of its convolutions", least=1, empty=True)
    localisation_kernels: tuple[int, ...] = field("sides of its kernels", least=1, empty=True)
    localisation_hidden: tuple[int, ...] = field(
        "units of the layers before its transform, after the core", least=1, empty=True
    )
    localisation_shrink: int = field("side of the blocks averaged before it looks", least=1)
    mean: float = field("level that is subtracted from the pixels; 0: none", least=0)
    deviation: float = field("number that pixels are then divided by; 1: none", above=0)
    filters: tuple[int, ...] = field("of the classifier's convolutions", least=1, empty=True)
    kernels: tuple[int, ...] = field("sides of its kernels, pixels", least=1, empty=True)
    hidden: tuple[int, ...] = field("units of the layers before its answer", least=1, empty=True)


@section
class EvaluateShifts(Evaluate):
    """How the network is measured."""

    batch: int = field("images at a time", least=1)
    shift: int = field(
        "pixels by which four more copies of a test image are moved, whose answers are averaged in "
        "a figure of its own; 0: none",
        least=0,
    )


@section
class TransformerSections(Settings):
    """The sections of a config."""

    data: Digits
    mechanism: Transformers
    model: Nets
    compute: Sampling
    train: Train
    evaluate: EvaluateShifts
