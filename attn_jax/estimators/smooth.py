"""Soft attention: the proposal decides alone, and is differentiated through."""

from typing import get_args

from jax import Array

from attn_jax import ops
from attn_jax.estimators.common import nothing, soft
from attn_jax.losses import no_credit
from attn_jax.types import Estimator, Given, Key, Selection, Tag


def expectation() -> Estimator:
    """Soft attention: where = E[where | s] = softmax(e), differentiable  (Bahdanau et al. 2015).

    Proposals are scores [L] or [H, W]; -inf masks. No key is used.

    >>> import jax.numpy as jnp
    >>> expectation().choose(None, jnp.zeros(4)).where.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def choose(key: Key | None, scores: Array) -> Selection:
        del key
        alpha = ops.masked_softmax(scores)
        return Selection(alpha, alpha, nothing(alpha), ops.categorical_entropy(scores))

    return Estimator(choose, choose, no_credit, "weights")


def sparsemax() -> Estimator:
    """Soft attention that leaves places out: where = sparsemax(e)  (Martins & Astudillo 2016).

    Proposals are scores [L] or [H, W]; -inf masks. No key is used.

    >>> import jax.numpy as jnp
    >>> sparsemax().choose(None, jnp.array([1.0, 0.5, -2.0])).where.tolist()
    [0.75, 0.25, 0.0]
    """
    return soft(ops.sparsemax, "weights", ops.entropy)


def identity(*, gives: Given = "theta") -> Estimator:
    """The proposal itself, differentiable: the spatial transformer's choice  (Jaderberg et al.).

    Args:
      gives: what is proposed, by the tag of the reads that take it: "theta", "homography",
        "control_points", "gaussian_grid", or "point" for a location without noise.

    Raises:
      ValueError: for a tag that no read takes, or one of weights, which scores are not.

    >>> import jax.numpy as jnp
    >>> identity(gives="homography").choose(None, jnp.eye(3)).where.shape
    (3, 3)
    """
    tags = sorted(set(get_args(Tag)) - {"weights"})
    if gives not in tags:
        raise ValueError(f"gives must be one of {', '.join(tags)}; got {gives!r}")
    return soft(lambda proposal: proposal, gives)
