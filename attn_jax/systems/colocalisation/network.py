"""The network that a config describes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.models import Colocaliser
from attn_jax.modules import ConvNet, SpatialTransformer
from attn_jax.ops import transforms
from attn_jax.parts.digits import Canvas
from attn_jax.systems.colocalisation.sections import ColocalisationSections
from attn_jax.types import Key


class Network(NamedTuple):
    """The network, and what is known of it beside its parameters.

    Attributes:
      module: the network.
      zoom: the scale that it reads at.
      dummy_input: the shape of an input [1, ...], to make parameters with.
    """

    module: Colocaliser
    zoom: float
    dummy_input: jax.ShapeDtypeStruct

    @property
    def first(self) -> Array:
        """The transform [2, 3] that the search begins with: the middle."""
        return self.module.transformer.transform.apply(jnp.zeros(2))

    def centred(self, boxes: Array) -> Array:
        """The transforms [B, 2, 3] that read at the middles of boxes [B, 4]."""
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        return jax.vmap(self.module.transformer.transform.apply)(middles)

    def random_parts(self, key: Key, x: Array) -> Array:
        """Parts [B, h, w, C] at random places inside each image [B, H, W, C]."""
        layer, reach = self.module.transformer, 1 - self.zoom
        at = jax.random.uniform(key, (len(x), 2), minval=-reach, maxval=reach)
        return layer.read(x, jax.vmap(layer.transform.apply)(at))

    def reads(self, x: Array, where: Array) -> tuple[Array, Array]:
        """The places [B, 1, h, w, 2] and pixels [B, 1, h, w, C] of transforms [B, 1, 2, 3]."""
        at = where[:, 0]
        return self.grids(at)[:, None], self.module.transformer.read(x, at)[:, None]

    def grids(self, where: Array) -> Array:
        """The places [B, h, w, 2] that transforms [B, 2, 3] read."""
        layer = self.module.transformer
        return jax.vmap(lambda one: layer.transform.grid(one, (layer.size, layer.size)))(where)


def wire(settings: ColocalisationSections, canvas: Canvas) -> Network:
    """The network for images of a canvas, checked to fit.

    Raises:
      ValueError: for kernels that do not fit.
    """
    mechanism, nets, dtype = settings.mechanism, settings.model, settings.compute.jax_dtype
    transformer = SpatialTransformer(
        nets.localisation(dtype),
        transforms.translation(mechanism.zoom),
        mechanism.size,
        bound=1 - mechanism.zoom,
        implementation=settings.compute.implementation(2),
        dtype=dtype,
    )
    encoder = ConvNet(nets.filters, nets.kernels, dtype=dtype)
    module = Colocaliser(transformer, encoder, canvas.num_classes, dtype)
    dummy = jax.ShapeDtypeStruct((1, *canvas.canvas), jnp.float32)
    jax.eval_shape(module.init, jax.random.key(0), dummy)  # kernels that do not fit are named here
    return Network(module, mechanism.zoom, dummy)
