"""Where the network's transformers read in some validation images over training."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.data import Images
from attn_jax.parts.history import SHOWN, Watched, transform_history
from attn_jax.parts.observe import choose_examples
from attn_jax.systems.spatial_transformer.measuring import named
from attn_jax.systems.spatial_transformer.network import Network
from attn_jax.training.experiment import History
from attn_jax.types import PyTree


def make_history(
    network: Network, classes: Sequence[str], images_of_validation: Callable[[], Images]
) -> History | None:
    """The history of its transforms; None without a transformer."""
    if network.transform is None:
        return None

    def watched() -> Watched:
        images, labels = images_of_validation()
        some = choose_examples(labels if labels.ndim == 1 else labels[:, 0], SHOWN)
        return Watched(images[some], named(classes, labels[some]))

    @jax.jit
    def where(params: PyTree, x: Array) -> Array:
        return jnp.stack(network.module.apply({"params": params}, x).where, 1)

    one = jax.eval_shape(network.transform.apply, network.transform.identity).shape
    return transform_history(watched, (len(network.layers), *one), where, network.reads)
