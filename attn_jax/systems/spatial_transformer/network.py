"""The network that a config describes."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.losses import identity_penalty
from attn_jax.models import SpatialTransformerNetwork
from attn_jax.modules import ConvNet, SpatialTransformer
from attn_jax.ops.transforms import Transform
from attn_jax.parts.digits import Canvas
from attn_jax.systems.spatial_transformer.sections import (
    NONE,
    TRANSFORMS,
    Family,
    TransformerSections,
)


class Network(NamedTuple):
    """The network, and what is known of it beside its parameters.

    Attributes:
      module: the network.
      transform: the family of its transforms; None without one.
      size: of what each transformer reads, (h, w) or (d, h, w).
      dummy_input: the shape of an input [1, ...], to make parameters with.
    """

    module: SpatialTransformerNetwork
    transform: Transform | None
    size: tuple[int, ...]
    dummy_input: jax.ShapeDtypeStruct

    @property
    def rank(self) -> int:
        """2 of images, 3 of volumes."""
        return len(self.dummy_input.shape) - 2

    @property
    def transformers(self) -> list[str]:
        """The names of the transformers' parameters."""
        return [f"transformers_{i}" for i in range(len(self.module.transformers))]

    def grids(self, where: Array) -> Array:
        """The places [B, *size, rank] that transforms [B, ...] read."""
        transform = self.transform
        assert transform is not None
        return jax.vmap(lambda one: transform.grid(one, self.size))(where)

    def unmoved(self, x: Array) -> list[Array]:
        """The views of inputs [B, ...] by transforms that have not learned."""
        x, views = self.module.normalised(x), []
        for one in self.module.transformers:
            where = one.transform.apply(jnp.asarray(one.start, jnp.float32))
            views.append(one.read(x, jnp.broadcast_to(where, (len(x), *where.shape))))
        return views

    def squared_distance(self, where: Array) -> Array:
        """The mean squared distance of transforms [B, ...] from the identity, []."""
        return identity_penalty(self.grids(where)).mean()


def wire(settings: TransformerSections, canvas: Canvas) -> Network:
    """The network for images of a canvas, checked to fit.

    Raises:
      ValueError: for images of another rank than the transform's, or kernels that do not fit.
    """
    mechanism, nets, dtype = settings.mechanism, settings.model, settings.compute.jax_dtype
    family, size = None, canvas.canvas[:-1]
    transformers: tuple[SpatialTransformer, ...] = ()
    if mechanism.transform != NONE:
        family = TRANSFORMS[mechanism.transform](mechanism.zoom)
        rank = family.transform.rank
        if rank != len(size):
            raise ValueError(
                f"mechanism.transform={mechanism.transform} is for "
                f"{'images' if rank == 2 else 'volumes'}; data.task={settings.data.task} gives "
                f"{list(canvas.canvas)}"
            )
        size = size if mechanism.size is None else (mechanism.size,) * rank
        # One at a time: each has parameters of its own.
        transformers = tuple(
            _transformer(settings, family, size) for _ in range(mechanism.parallel)
        )
    module = SpatialTransformerNetwork(
        transformers=transformers,
        features=ConvNet(nets.filters, nets.kernels, dtype=dtype),
        num_classes=canvas.num_classes,
        hidden=nets.hidden,
        mean=nets.mean,
        deviation=nets.deviation,
        dtype=dtype,
    )
    dummy = jax.ShapeDtypeStruct((1, *canvas.canvas), jnp.float32)
    jax.eval_shape(module.init, jax.random.key(0), dummy)  # kernels that do not fit are named here
    return Network(module, family and family.transform, size, dummy)


def _transformer(
    settings: TransformerSections, family: Family, size: tuple[int, ...]
) -> SpatialTransformer:
    mechanism, nets = settings.mechanism, settings.model
    localisation = ConvNet(
        nets.localisation_filters,
        nets.localisation_kernels,
        nets.localisation_hidden,
        nets.localisation_shrink,
        settings.compute.jax_dtype,
    )
    return SpatialTransformer(
        localisation,
        family.transform,
        size,
        padding=mechanism.padding,
        fill=mechanism.fill,
        start=family.start,
        bound=mechanism.bound or None,
        implementation=settings.compute.implementation(family.transform.rank),
        dtype=settings.compute.jax_dtype,
        kernel_init=nn.initializers.normal(mechanism.last_layer),
    )
