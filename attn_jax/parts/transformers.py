"""Spatial transformers as parts of a system: families by name, and what finds transforms."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from attn_jax.fields import field, section
from attn_jax.modules import ConvNet
from attn_jax.ops import transforms
from attn_jax.ops.transforms import Transform


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


@section
class LocalisationNet:
    """Widths of the network that finds transforms."""

    localisation_filters: tuple[int, ...] = field("of its convolutions", least=1, empty=True)
    localisation_kernels: tuple[int, ...] = field("sides of its kernels", least=1, empty=True)
    localisation_hidden: tuple[int, ...] = field(
        "units of the layers before its transform, after the core", least=1, empty=True
    )
    localisation_shrink: int = field("side of the blocks averaged before it looks", least=1)

    def localisation(self, dtype: Any) -> ConvNet:
        """The network, without what turns its features into transforms."""
        return ConvNet(
            self.localisation_filters,
            self.localisation_kernels,
            self.localisation_hidden,
            self.localisation_shrink,
            dtype,
        )
