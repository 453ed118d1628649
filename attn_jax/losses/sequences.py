"""Losses of predictions, by labels and by target values."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int


def cross_entropy(logits: Float[Array, "*n C"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute -log softmax(logits)[label], in nats and in at least float32.

    >>> float(cross_entropy(jnp.zeros(10), jnp.array(3)))  # log 10
    2.30258...
    """
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_p = jax.nn.log_softmax(wide)
    return -jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]


def squared_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute (target - prediction)^2; no gradient passes through the target."""
    return (jax.lax.stop_gradient(target) - prediction) ** 2
