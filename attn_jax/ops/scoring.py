"""Scores and what is made of them: masked softmax, log-softmax and entropy.

A masked place is a score of -inf. One, or all, of them may be masked: values and gradients
stay finite, and an all-masked softmax is all zeros.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


def additive_scores(
    keys: Float[Array, "*L A"], query: Float[Array, "A"], v: Float[Array, "A"]
) -> Float[Array, "*L"]:
    """e_i = v . tanh(W_a a_i + W_h h + b)  (Bahdanau et al. 2015; Xu et al. 2015, eq. 4).

    Args:
      keys: W_a a_i + b, projected once, for items [L, A] or places [H, W, A].
      query: W_h h_{t-1}.
      v: the direction scores are read off along.

    Returns:
      e, one score an item or place.

    >>> additive_scores(jnp.zeros((3, 2)), jnp.zeros(2), jnp.ones(2)).shape
    (3,)
    """
    same_rank = (1,) * (keys.ndim - 1)
    return jnp.tanh(keys + query.reshape(*same_rank, -1)) @ v


def dot_scores(keys: Float[Array, "*L S"], query: Float[Array, "S"]) -> Float[Array, "*L"]:
    """e_i = a_i . h  (Luong et al. 2015, section 3.1, "dot").

    With the query W h it is their "general", e_i = a_i^T W h.

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
    """e_i = k_i . q / sqrt(A)  (Vaswani et al. 2017, eq. 1).

    >>> scaled_dot_scores(2 * jnp.eye(4), jnp.ones(4)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return dot_scores(keys, query) / math.sqrt(query.shape[-1])


def mask_scores(scores: Float[Array, "*L"], mask: Bool[Array, "*L"] | None) -> Float[Array, "*L"]:
    """Scores with -inf wherever `mask` is False; unchanged where mask is None.

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
    """Refuse to choose among nothing.

    Raises:
      ValueError: if the scores have no entry.
    """
    if scores.size == 0:
        raise ValueError(f"scores must have at least one place; got shape {scores.shape}")


def _shifted(scores: Array) -> tuple[Array, Array]:
    """(scores less their maximum with masked ones at 0, which ones are allowed), in >= float32.

    NaN counts as allowed, so that it is seen and not hidden as a masked place.
    """
    check_places(scores)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    allowed = scores != -jnp.inf
    top = jnp.max(scores, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(top == -jnp.inf, 0.0, top))
    return jnp.where(allowed, scores - top, 0.0), allowed


def masked_softmax(scores: Float[Array, "*L"]) -> Float[Array, "*L"]:
    """alpha_i = exp(e_i) / sum_j exp(e_j) over all axes; 0 at -inf, all 0 if all are masked.

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
    """log alpha over all axes; -inf where masked, with gradient 0 there.

    >>> masked_log_softmax(jnp.array([0.0, -jnp.inf])).tolist()
    [0.0, -inf]
    """
    shifted, allowed = _shifted(scores)
    total = jnp.where(allowed, jnp.exp(shifted), 0.0).sum()
    return jnp.where(allowed, shifted - jnp.log(jnp.where(total == 0, 1.0, total)), -jnp.inf)


def categorical_entropy(scores: Float[Array, "*L"]) -> Float[Array, ""]:
    """H = -sum_i alpha_i log alpha_i, in nats; 0 log 0 = 0, and 0 if all are masked.

    >>> float(categorical_entropy(jnp.zeros(8)))  # log 8
    2.07944...
    """
    log_alpha = masked_log_softmax(scores)
    log_alpha = jnp.where(log_alpha == -jnp.inf, 0.0, log_alpha)
    return -(masked_softmax(scores) * log_alpha).sum()


def entropy(p: Float[Array, "*L"]) -> Float[Array, ""]:
    """H = -sum_i p_i log p_i of probabilities some of which may be 0, in nats; 0 log 0 = 0.

    >>> float(entropy(jnp.array([0.5, 0.5, 0.0])))  # log 2
    0.69314...
    """
    return -(p * jnp.log(jnp.where(p > 0, p, 1.0))).sum()
