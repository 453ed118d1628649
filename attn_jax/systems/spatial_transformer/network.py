"""The network that a config describes."""

from dataclasses import replace
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.losses import identity_penalty
from attn_jax.models import (
    RecurrentTransformerNetwork,
    SpatialTransformerNetwork,
    ViewClassifier,
)
from attn_jax.modules import ConvNet, Core, SpatialTransformer
from attn_jax.operations import flops
from attn_jax.ops.transforms import Transform
from attn_jax.parts.digits import Canvas
from attn_jax.parts.transformers import TRANSFORMS, Family
from attn_jax.systems.spatial_transformer.sections import NONE, TransformerSections


class Network(NamedTuple):
    """The network, and what is known of it beside its parameters.

    Attributes:
      module: the network.
      layers: its transformers, in the order of what they read; one that reads again stands again.
      moving: the names of the parameters that transforms come from.
      transform: the family of its transforms; None without one.
      size: of what each transformer reads, (h, w) or (d, h, w).
      dummy_input: the shape of an input [1, ...], to make parameters with.
    """

    module: SpatialTransformerNetwork | RecurrentTransformerNetwork
    layers: tuple[SpatialTransformer, ...]
    moving: tuple[str, ...]
    transform: Transform | None
    size: tuple[int, ...]
    dummy_input: jax.ShapeDtypeStruct

    @property
    def rank(self) -> int:
        """2 of images, 3 of volumes."""
        return len(self.dummy_input.shape) - 2

    @property
    def flops(self) -> int:
        """Floating-point operations of its layers for one input."""
        variables = jax.eval_shape(self.module.init, jax.random.key(0), self.dummy_input)
        return flops(self.module.apply, variables, self.dummy_input)

    def grids(self, where: Array) -> Array:
        """The places [B, *size, rank] that transforms [B, ...] read."""
        transform = self.transform
        assert transform is not None
        return jax.vmap(lambda one: transform.grid(one, self.size))(where)

    def unmoved(self, x: Array) -> list[Array]:
        """The views of inputs [B, ...] by transforms that have not learned."""
        x, views = self.module.normalised(x), []
        for one in self.layers:
            where = one.transform.apply(jnp.asarray(one.start, jnp.float32))
            views.append(one.read(x, jnp.broadcast_to(where, (len(x), *where.shape))))
        return views

    def reads(self, x: Array, where: Array) -> tuple[Array, Array]:
        """The places that transforms [B, P, ...] of P layers read, and the pixels there.

        Args:
          x: inputs [B, ...].
          where: of each layer in turn.

        Returns:
          [B, P, *size, rank], and [B, P, *size, C].
        """
        each = jnp.moveaxis(where, 1, 0)
        seen = self.module.normalised(x)
        views = [layer.read(seen, at) for layer, at in zip(self.layers, each, strict=True)]
        grids = jnp.stack([self.grids(at) for at in each], 1)
        return grids, jnp.stack(views, 1) * self.module.deviation + self.module.mean

    def squared_distance(self, where: Array) -> Array:
        """The mean squared distance of transforms [B, ...] from the identity, []."""
        return identity_penalty(self.grids(where)).mean()


def wire(settings: TransformerSections, canvas: Canvas) -> Network:
    """The network for images of a canvas, checked to fit.

    Raises:
      ValueError: for images of another rank than the transform's, kernels that do not fit, and
        transforms one after the other that are none, volumes' or in parallel.
    """
    mechanism, dtype = settings.mechanism, settings.compute.jax_dtype
    _check_steps(settings)
    family, size = None, canvas.canvas[:-1]
    if mechanism.transform != NONE:
        family = TRANSFORMS[mechanism.transform](mechanism.zoom)
        _check_rank(settings, family, canvas)
        size = size if mechanism.size is None else (mechanism.size,) * len(size)
    nets = settings.model
    features = ConvNet(nets.filters, nets.kernels, dtype=dtype)
    classify = ViewClassifier(features, canvas.num_classes, nets.hidden, nets.dropout, dtype)
    common = {"classify": classify, "mean": nets.mean, "deviation": nets.deviation}
    if family is None:
        module, layers, moving = SpatialTransformerNetwork((), **common), (), ()
    else:
        make = _recurrent if mechanism.steps else _parallel
        module, layers, moving = make(settings, family, size, common)
    dummy = jax.ShapeDtypeStruct((1, *canvas.canvas), jnp.float32)
    jax.eval_shape(module.init, jax.random.key(0), dummy)  # kernels that do not fit are named here
    return Network(module, layers, moving, family and family.transform, size, dummy)


def _check_steps(settings: TransformerSections) -> None:
    mechanism = settings.mechanism
    if mechanism.steps and mechanism.transform == NONE:
        raise ValueError("mechanism.steps needs a mechanism.transform; got none")
    if mechanism.steps and mechanism.parallel > 1:
        raise ValueError(
            f"mechanism.steps={mechanism.steps} needs mechanism.parallel of 1; got "
            f"{mechanism.parallel}"
        )


def _check_rank(settings: TransformerSections, family: Family, canvas: Canvas) -> None:
    rank = family.transform.rank
    if rank != len(canvas.canvas) - 1:
        raise ValueError(
            f"mechanism.transform={settings.mechanism.transform} is for "
            f"{'images' if rank == 2 else 'volumes'}; data.task={settings.data.task} gives "
            f"{list(canvas.canvas)}"
        )


def _parallel(
    settings: TransformerSections, family: Family, size: tuple[int, ...], common: dict[str, Any]
) -> tuple[SpatialTransformerNetwork, tuple[SpatialTransformer, ...], tuple[str, ...]]:
    """The network of transformers side by side, its layers, and their parameters' names."""
    nets, dtype = settings.model, settings.compute.jax_dtype
    count = range(settings.mechanism.parallel)
    # One at a time: each has parameters of its own.
    layers = tuple(_transformer(settings, family, size, nets.localisation(dtype)) for _ in count)
    names = tuple(f"transformers_{i}" for i in count)
    return SpatialTransformerNetwork(layers, **common), layers, names


def _recurrent(
    settings: TransformerSections, family: Family, size: tuple[int, ...], common: dict[str, Any]
) -> tuple[RecurrentTransformerNetwork, tuple[SpatialTransformer, ...], tuple[str, ...]]:
    """The network that reads one object after the other, its layers, their parameters' names."""
    nets, dtype, steps = settings.model, settings.compute.jax_dtype, settings.mechanism.steps
    of_state = ConvNet(hidden=nets.localisation_hidden, dtype=dtype)
    transformer = _transformer(settings, family, size, of_state)
    module = RecurrentTransformerNetwork(
        localise=replace(nets, localisation_hidden=()).localisation(dtype),
        core=Core(nets.cells(settings.compute)),
        transformer=transformer,
        num_steps=steps,
        **common,
    )
    return module, (transformer,) * steps, ("localise", "core", "transformer")


def _transformer(
    settings: TransformerSections, family: Family, size: tuple[int, ...], localisation: ConvNet
) -> SpatialTransformer:
    mechanism = settings.mechanism
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
