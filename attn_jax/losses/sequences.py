"""Losses against labels and targets."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int


def cross_entropy(logits: Float[Array, "*n C"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """-log softmax(logits)[label], in nats, in at least float32.

    >>> float(cross_entropy(jnp.zeros(10), jnp.array(3)))  # log 10
    2.30258...
    """
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_p = jax.nn.log_softmax(wide)
    return -jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]


def squared_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """(target - prediction)^2; the target is constant to the gradient."""
    return (jax.lax.stop_gradient(target) - prediction) ** 2
