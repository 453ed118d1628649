"""The sections of a config of co-localisation."""

from attn_jax.fields import field, section
from attn_jax.parts.compute import Sampling
from attn_jax.parts.digits import Digits
from attn_jax.parts.transformers import LocalisationNet
from attn_jax.training.settings import Evaluate, Settings, Train


@section
class CommonDigits(Digits):
    """Images that have an object of one class in common."""

    common: int = field("number of that class", least=0)
    count: int = field("how many images there are to search", least=2)


@section
class Search:
    """The transformer that finds the object."""

    size: int = field("side of what it reads, pixels", least=1)
    zoom: float = field(
        "side of what it reads over the canvas's; it stays, and nothing outside is read",
        above=0,
        below=1,
    )
    margin: float = field(
        "by how much squared distances to other images' objects and to random parts are to differ",
        least=0,
    )
    begin: int = field("updates in which the encoder alone learns", least=0)
    shift: int = field(
        "pixels that the encoder's digits move by, at most, out of its sight", least=0
    )
    rate: float = field("number that the transformer's learning rate is multiplied by", least=0)


@section
class EncoderNet(LocalisationNet):
    """Widths of the localisation network, and of the encoder of what is read."""

    filters: tuple[int, ...] = field("of the encoder's convolutions", least=1, empty=True)
    kernels: tuple[int, ...] = field("sides of its kernels, pixels", least=1, empty=True)


@section
class EvaluateSearch(Evaluate):
    """How it is measured."""

    batch: int = field("images at a time", least=1)


@section
class ColocalisationSections(Settings):
    """The sections of a config."""

    data: CommonDigits
    mechanism: Search
    model: EncoderNet
    compute: Sampling
    train: Train
    evaluate: EvaluateSearch
