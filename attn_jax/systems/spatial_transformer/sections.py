"""The sections of a config of spatial transformer networks."""

from attn_jax.fields import field, section
from attn_jax.ops.padding import PADDINGS
from attn_jax.parts.compute import CoreModel, Sampling
from attn_jax.parts.digits import Digits
from attn_jax.parts.transformers import TRANSFORMS, LocalisationNet
from attn_jax.training.settings import Evaluate, Settings, Train

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
class Nets(LocalisationNet, CoreModel):
    """Widths of the localisation network, of the core if there is one, and of the classifier."""

    mean: float = field("level that is subtracted from the pixels; 0: none", least=0)
    deviation: float = field("number that pixels are then divided by; 1: none", above=0)
    filters: tuple[int, ...] = field("of the classifier's convolutions", least=1, empty=True)
    kernels: tuple[int, ...] = field("sides of its kernels, pixels", least=1, empty=True)
    hidden: tuple[int, ...] = field("units of the layers before its answer", least=1, empty=True)
    dropout: float = field("fraction of its features dropped while it trains", least=0, below=1)


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
