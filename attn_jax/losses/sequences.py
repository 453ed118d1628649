"""Losses of predictions, by labels and by target values."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax.checks import check_labels, check_same_shape


def cross_entropy(logits: Float[Array, "*n C"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute -log softmax(logits)[label], in nats and in at least float32.

    A label that is outside 0 to C - 1 and known while tracing is refused. A traced one names no
    class: its loss and the gradient of it are 0, as if the example were not there.

    Args:
      logits: [..., C].
      labels: [...], whole numbers.

    Raises:
      ValueError: for labels of another shape, or outside the classes.
      TypeError: for labels that are not whole numbers.

    >>> float(cross_entropy(jnp.zeros(10), jnp.array(3)))  # log 10
    2.30258...
    """
    check_labels("labels", labels, logits.shape[:-1], logits.shape[-1])
    known = is_class(labels, logits.shape[-1])
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_p = jax.nn.log_softmax(wide)
    index = jnp.where(known, labels, 0)[..., None]
    return jnp.where(known, -jnp.take_along_axis(log_p, index, axis=-1)[..., 0], 0.0)


def is_class(labels: Int[Array, "*n"], num_classes: int) -> Bool[Array, "*n"]:
    """Tell which labels lie in 0 to num_classes - 1.

    >>> is_class(jnp.array([-1, 0, 9, 10]), 10).tolist()
    [False, True, True, False]
    """
    return (labels >= 0) & (labels < num_classes)


def squared_error(prediction: Float[Array, "*n"], target: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute (target - prediction)^2; no gradient passes through the target.

    Raises:
      ValueError: for two shapes, which would be broadcast silently.
    """
    check_same_shape("target", target, "prediction", prediction)
    return (jax.lax.stop_gradient(target) - prediction) ** 2
