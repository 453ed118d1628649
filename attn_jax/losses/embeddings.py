"""Losses of embeddings: what belongs together is to lie closer than what does not."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def triplet_hinge(
    anchors: Float[Array, "N F"], negatives: Float[Array, "N F"], margin: float = 1.0
) -> Float[Array, "N"]:
    """Draw anchors together, and each away from its own negative.

        L_n = sum_{m != n} max(0, |e_n - e_m|^2 - |e_n - e'_n|^2 + margin) / (N - 1)

    Args:
      anchors: e, descriptors of N things of one kind, N at least 2.
      negatives: e', of something else for each.
      margin: by how much squared distances are to differ.

    Returns:
      The mean over the other anchors for each one, in at least float32.

    Raises:
      ValueError: for fewer than two anchors, or negatives of another shape.

    Reference: Jaderberg et al. 2015, appendix A.1.

    >>> triplet_hinge(jnp.array([[0.0], [2.0]]), jnp.array([[1.0], [5.0]])).tolist()
    [4.0, 0.0]
    """
    if len(anchors) < 2 or negatives.shape != anchors.shape:
        raise ValueError(
            f"triplet_hinge needs anchors [N, F], N at least 2, and negatives of their shape; got "
            f"{anchors.shape} and {negatives.shape}"
        )
    wide = jnp.promote_types(anchors.dtype, jnp.float32)
    e, other = anchors.astype(wide), negatives.astype(wide)
    together = ((e[:, None] - e[None, :]) ** 2).sum(-1)
    apart = ((e - other) ** 2).sum(-1, keepdims=True)
    pairs = 1 - jnp.eye(len(e), dtype=wide)
    return (pairs * jnp.maximum(together - apart + margin, 0)).sum(-1) / (len(e) - 1)
