"""Scores, and their masked softmax, log-softmax and entropy.

The score of a masked place is -inf. Any of the places, or all, may be masked: values and gradients
stay finite, and a softmax of masked places alone is all zeros.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from attn_jax.ops.common import promoted


def additive_scores(
    keys: Float[Array, "*L A"], query: Float[Array, "A"], v: Float[Array, "A"]
) -> Float[Array, "*L"]:
    """Score by an additive comparison: e_i = v . tanh(W_a a_i + W_h h + b).

    Args:
      keys: W_a a_i + b, projected once, for items [L, A] or places [H, W, A].
      query: W_h h_{t-1}.
      v: the weights of the comparison's A features.

    Returns:
      e, one score for each item or place.

    Reference: Bahdanau et al. 2015; Xu et al. 2015, eq. 4.

    >>> additive_scores(jnp.zeros((3, 2)), jnp.zeros(2), jnp.ones(2)).shape
    (3,)
    """
    same_rank = (1,) * (keys.ndim - 1)
    return jnp.tanh(keys + query.reshape(*same_rank, -1)) @ v


def dot_scores(keys: Float[Array, "*L S"], query: Float[Array, "S"]) -> Float[Array, "*L"]:
    """Score by dot products: e_i = a_i . h  (Luong et al. 2015, section 3.1, "dot").

    With the query W h they are e_i = a_i^T W h, "general" in that paper.

    Args:
      keys: a, items [L, S] or places [H, W, S].
      query: h, or W h.

    Raises:
      ValueError: unless items and query are of one width.

    >>> dot_scores(jnp.eye(2), jnp.array([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    if keys.shape[-1] != query.shape[-1]:
        raise ValueError(
            f"keys and query must be of one width; got {keys.shape[-1]} and {query.shape[-1]}"
        )
    return keys @ query


def scaled_dot_scores(keys: Float[Array, "*L A"], query: Float[Array, "A"]) -> Float[Array, "*L"]:
    """Score by scaled dot products: e_i = k_i . q / sqrt(A)  (Vaswani et al. 2017, eq. 1).

    Args and errors are those of `dot_scores`.

    >>> scaled_dot_scores(2 * jnp.eye(4), jnp.ones(4)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return dot_scores(keys, query) / math.sqrt(query.shape[-1])


def mask_scores(scores: Float[Array, "*L"], mask: Bool[Array, "*L"] | None) -> Float[Array, "*L"]:
    """Set scores to -inf wherever the mask is False; None masks nothing.

    Raises:
      ValueError: if the mask has another shape than the scores.
    """
    if mask is None:
        return scores
    if mask.shape != scores.shape:
        raise ValueError(
            f"mask must have the shape of the scores, {scores.shape}; got {mask.shape}"
        )
    return jnp.where(mask, scores, -jnp.inf)


def check_places(scores: Array) -> None:
    """Refuse scores of no place at all.

    Raises:
      ValueError: if the scores have no entry.
    """
    if scores.size == 0:
        raise ValueError(f"scores must have at least one place; got shape {scores.shape}")


def _shifted(scores: Array) -> tuple[Array, Array]:
    """Return the scores minus their maximum, 0 where masked, and which places are not masked.

    Scores are in at least float32. A NaN does not count as masked, so that it shows in the result.
    """
    check_places(scores)
    scores = scores.astype(promoted(scores.dtype))
    allowed = scores != -jnp.inf
    top = jnp.max(scores, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    return jnp.where(allowed, scores - top, 0.0), allowed


def masked_softmax(scores: Float[Array, "*L"]) -> Float[Array, "*L"]:
    """Softmax over all axes: alpha_i = exp(e_i) / sum_j exp(e_j); 0 where masked.

    If all places are masked, all weights are 0.

    Args:
      scores: e, of any rank; -inf marks masked places.

    Returns:
      alpha, at least float32.

    Raises:
      ValueError: if there is no place at all.

    >>> masked_softmax(jnp.array([0.0, 0.0, -jnp.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    shifted, allowed = _shifted(scores)
    weights = jnp.where(allowed, jnp.exp(shifted), 0.0)
    total = weights.sum()
    return weights / jnp.where(total == 0, 1.0, total)


def masked_log_softmax(scores: Float[Array, "*L"]) -> Float[Array, "*L"]:
    """Log-softmax over all axes, at least float32; -inf where masked, with gradient 0 there.

    >>> masked_log_softmax(jnp.array([0.0, -jnp.inf])).tolist()
    [0.0, -inf]
    """
    shifted, allowed = _shifted(scores)
    total = jnp.where(allowed, jnp.exp(shifted), 0.0).sum()
    return jnp.where(allowed, shifted - jnp.log(jnp.where(total == 0, 1.0, total)), -jnp.inf)


def categorical_entropy(scores: Float[Array, "*L"]) -> Float[Array, ""]:
    """Entropy of softmax(scores), -sum_i alpha_i log alpha_i, in nats; 0 if all are masked.

    >>> float(categorical_entropy(jnp.zeros(8)))  # log 8
    2.07944...
    """
    log_alpha = masked_log_softmax(scores)
    log_alpha = jnp.where(log_alpha == -jnp.inf, 0.0, log_alpha)
    return -(masked_softmax(scores) * log_alpha).sum()


def entropy(p: Float[Array, "*L"]) -> Float[Array, ""]:
    """Entropy of probabilities, -sum_i p_i log p_i, in nats, where 0 log 0 = 0.

    >>> float(entropy(jnp.array([0.5, 0.5, 0.0])))  # log 2
    0.69314...
    """
    return -(p * jnp.log(jnp.where(p > 0, p, 1.0))).sum()
