"""Soft attention: the choice is a differentiable function of the proposal alone."""

from typing import get_args

from jax import Array

from attn_jax import ops
from attn_jax.estimators.common import deterministic, zero_like
from attn_jax.losses import no_credit
from attn_jax.types import Estimator, Given, Key, Selection, Tag


def expectation() -> Estimator:
    """Give the weights softmax(e), the mean of a categorical choice  (Bahdanau et al. 2015).

    Proposals are scores [L] or [H, W]; -inf masks a place. No key is used.

    >>> import jax.numpy as jnp
    >>> expectation().choose(None, jnp.zeros(4)).where.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def choose(key: Key | None, scores: Array) -> Selection:
        del key
        alpha = ops.masked_softmax(scores)
        return Selection(alpha, alpha, zero_like(alpha), ops.categorical_entropy(scores))

    return Estimator(choose, choose, no_credit, "weights")


def sparsemax() -> Estimator:
    """Give the weights sparsemax(e), of which many are exactly 0  (Martins & Astudillo 2016).

    Proposals are scores [L] or [H, W]; -inf masks a place. No key is used.

    >>> import jax.numpy as jnp
    >>> sparsemax().choose(None, jnp.array([1.0, 0.5, -2.0])).where.tolist()
    [0.75, 0.25, 0.0]
    """
    return deterministic(ops.sparsemax, "weights", ops.entropy)


def identity(*, gives: Given = "theta") -> Estimator:
    """Give the proposal as it is, as the spatial transformer does  (Jaderberg et al. 2015).

    Args:
      gives: what is proposed, by the tag of the reads that take it: "theta", "homography",
        "control_points", "gaussian_grid", or "point" for a location without noise.

    Raises:
      ValueError: for a tag that no read takes, and for "weights": scores are no weights.

    >>> import jax.numpy as jnp
    >>> identity(gives="homography").choose(None, jnp.eye(3)).where.shape
    (3, 3)
    """
    tags = sorted(set(get_args(Tag)) - {"weights"})
    if gives not in tags:
        raise ValueError(f"gives must be one of {', '.join(tags)}; got {gives!r}")
    return deterministic(lambda proposal: proposal, gives)
