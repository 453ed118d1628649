"""How it learns: the encoder from labels, the transformer from what its images have in common."""

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.losses import cross_entropy, triplet_hinge
from attn_jax.models import Localised
from attn_jax.systems.colocalisation.images import Batch, make_batch
from attn_jax.systems.colocalisation.network import Network
from attn_jax.systems.colocalisation.sections import ColocalisationSections
from attn_jax.tasks import is_right
from attn_jax.training.experiment import Learner
from attn_jax.types import Key, PyTree


def make_learner(settings: ColocalisationSections, network: Network) -> Learner:
    """The learner.

        loss = mean -log p(y) of single digits + [step >= begin] mean_n L_n of searched images

    L is `losses.triplet_hinge`, whose gradient does not reach the encoder.
    """
    module, mechanism = network.module, settings.mechanism

    def init(key: Key) -> tuple[PyTree, PyTree]:
        zeros = jnp.zeros(network.dummy_input.shape, network.dummy_input.dtype)
        return jax.jit(module.init)(key, zeros)["params"], ()

    def loss(
        params: PyTree, batch: Batch, key: Key, step: Array, carried: PyTree
    ) -> tuple[Array, tuple[dict[str, Array], PyTree]]:
        settings.compute.check_sampler()
        logits = module.apply({"params": params}, batch.digits, method="logits")
        learned = cross_entropy(logits, batch.labels).mean()
        hinge = search_loss(network, mechanism.margin, params, batch.images, key)
        value = learned + jnp.where(step < mechanism.begin, 0.0, hinge)
        figures = {
            "cross_entropy": learned,
            "hinge": hinge,
            "error_encoder": 1 - is_right(logits, batch.labels).mean(),
        }
        return value, (figures, carried)

    rates = {} if mechanism.rate == 1 else {"transformer": mechanism.rate}
    return Learner(init, make_batch(settings), loss, rates)


def search_loss(network: Network, margin: float, params: PyTree, x: Array, key: Key) -> Array:
    """The mean loss of images [B, ...] whose gradient reaches the transformer alone."""
    fixed = jax.lax.stop_gradient(params)
    frozen = {**fixed, "transformer": params["transformer"]}
    found: Localised = network.module.apply({"params": frozen}, x)
    return _apart(network, margin, frozen, x, found.descriptor, key)


def loss_at(
    network: Network, margin: float, params: PyTree, x: Array, where: Array, key: Key
) -> Array:
    """The mean loss of images [B, ...] read by transforms [B, 2, 3], such as the objects' own."""
    views = network.module.transformer.read(x, where)
    found = network.module.apply({"params": params}, views, method="describe")
    return _apart(network, margin, params, x, found, key)


def _apart(
    network: Network, margin: float, params: PyTree, x: Array, found: Array, key: Key
) -> Array:
    """The mean loss of descriptors [B, F], each beside that of a random part of its image."""
    parts = network.random_parts(key, x)
    others = network.module.apply({"params": params}, parts, method="describe")
    return triplet_hinge(found, others, margin).mean()
