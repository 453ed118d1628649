"""How the network learns: cross-entropy, and figures that tell how its transformers fare."""

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.losses import cross_entropy
from attn_jax.models import Transformed
from attn_jax.parts.digits import DigitBatch, DigitData, compose_batch, no_batch
from attn_jax.systems.spatial_transformer.network import Network
from attn_jax.systems.spatial_transformer.sections import TransformerSections
from attn_jax.tasks import is_right, transform_figures
from attn_jax.training.experiment import Learner
from attn_jax.types import Key, PyTree


def make_learner(
    settings: TransformerSections, network: Network, data: DigitData | None
) -> Learner:
    """The learner; without data it makes parameters only.

    loss = mean -log p(y) + w sum_p mean |S_i - (x_i, y_i)|^2,   p over transformers
    """
    penalty = settings.mechanism.penalty

    def init(key: Key) -> tuple[PyTree, PyTree]:
        zeros = jnp.zeros(network.dummy_input.shape, network.dummy_input.dtype)
        return jax.jit(network.module.init)(key, zeros)["params"], ()

    def loss(
        params: PyTree, batch: DigitBatch, key: Key, step: Array, carried: PyTree
    ) -> tuple[Array, tuple[dict[str, Array], PyTree]]:
        del step
        settings.compute.check_sampler()
        out: Transformed = network.module.apply({"params": params}, batch.x, rngs={"dropout": key})
        terms = {"cross_entropy": cross_entropy(out.logits, batch.labels).mean()}
        if network.transform is not None and penalty:
            terms["penalty"] = penalty * sum(map(network.squared_distance, out.where))
        value = sum(terms.values())
        error = 1 - is_right(out.logits, batch.labels).mean()
        return value, (terms | {"error": error} | _figures(network, batch.x, out), carried)

    batch = compose_batch(data) if data else no_batch
    rate = settings.mechanism.rate
    rates = {} if rate == 1 else dict.fromkeys(network.moving, rate)
    return Learner(init, batch, loss, rates)


def _figures(network: Network, x: Array, out: Transformed) -> dict[str, Array]:
    if network.transform is None:
        return {}
    stopped = jax.lax.stop_gradient((x, out.where, out.views))
    return transform_figures(network.transform, network.size, *stopped)
