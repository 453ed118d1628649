"""Co-localisation: a spatial transformer finds what images of one class have in common.

Reference: Jaderberg et al. 2015, appendix A.1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.modules import Classifier, SpatialTransformer


class Localised(NamedTuple):
    """Parts of images, and what they are taken for.

    Attributes:
      where: transforms [B, 2, 3].
      view: what they read, [B, h, w, C].
      descriptor: of it, [B, F].
    """

    where: Array
    view: Array
    descriptor: Array


class Colocaliser(nn.Module):
    """A transformer that finds a part of an image, and an encoder that describes parts.

        e(v) = [h_1 / |h_1|; ...; h_L / |h_L|],   h_l the maps of a classifier of v, h_L its logits

    Each layer is brought to length 1, so that a margin means the same whatever their sizes.

    Attributes:
      transformer: the layer that finds the part.
      features: view -> features [B, F], and with `every=True` of all its maps.
      num_classes: of the encoder.
      dtype: of the computation.
    """

    transformer: SpatialTransformer
    features: nn.Module
    num_classes: int
    dtype: Any = None

    def setup(self) -> None:
        self.classify = Classifier(self.num_classes, dtype=self.dtype)

    def __call__(self, x: Array) -> Localised:
        """Find a part of each image [B, H, W, C], and describe it."""
        where = self.transformer.where(x)
        view = self.transformer.read(x, where)
        return Localised(where, view, self.describe(view))

    def describe(self, view: Array) -> Array:
        """The descriptors [B, F] of parts [B, h, w, C]."""
        return jnp.concatenate([_unit(layer) for layer in self._layers(view)], -1)

    def logits(self, view: Array) -> Array:
        """The encoder's answers [B, classes] to parts [B, h, w, C]."""
        return self._layers(view)[-1]

    def _layers(self, view: Array) -> Sequence[Array]:
        features: Any = self.features
        *maps, last = features(view, every=True)
        return *maps, self.classify(last)


def _unit(h: Array) -> Array:
    wide = h.astype(jnp.promote_types(h.dtype, jnp.float32))
    return wide / jnp.sqrt((wide**2).sum(-1, keepdims=True) + 1e-6)
