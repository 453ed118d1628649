"""Sparsemax: a projection to the simplex that gives many places a weight of exactly 0."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import promoted
from attn_jax.ops.scoring import check_places


def sparsemax(scores: Float[Array, "*L"]) -> Float[Array, "*L"]:
    """Project scores to the simplex: p = argmin ||p - e||^2, over all axes.

    p_i = max(e_i - tau, 0), where tau makes them sum to 1. The derivative is exact:
    dp_i = de_i - mean_{j in S} de_j on the support S = {p_i > 0}, 0 elsewhere.

    Args:
      scores: e, of any rank; -inf marks masked places.

    Returns:
      p, at least float32; 0 at -inf, all 0 if all are masked.

    Raises:
      ValueError: if there is no place at all.

    Reference: Martins & Astudillo 2016.

    >>> sparsemax(jnp.array([1.0, 0.5, -2.0])).tolist()
    [0.75, 0.25, 0.0]
    """
    check_places(scores)
    return _project(scores.astype(promoted(scores.dtype)))


@jax.custom_jvp
def _project(e: Array) -> Array:
    allowed = e != -jnp.inf
    top = jnp.max(e, initial=-jnp.inf)
    # What lies 1 below the maximum is never in the support: -2 stands for masked places.
    z = jnp.where(allowed, jnp.maximum(e - jnp.where(top == -jnp.inf, 0.0, top), -2.0), -2.0)
    down = -jnp.sort(-z.ravel())
    k = jnp.arange(1, z.size + 1, dtype=z.dtype)
    excess = jnp.cumsum(down) - 1
    support = (k * down > excess).sum()
    count = jnp.maximum(support, 1)
    tau = excess[count - 1] / count.astype(e.dtype)
    p = jnp.where(allowed, jnp.maximum(z - tau, 0.0), 0.0)
    return jnp.where(jnp.isnan(top), jnp.nan, p)  # a NaN must not pass for a masked place


@_project.defjvp
def _project_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    p = _project(*primals)
    support = p > 0
    (change,) = tangents
    inside = jnp.where(support, change, 0.0)
    mean = inside.sum() / jnp.maximum(support.sum(), 1).astype(p.dtype)
    return p, jnp.where(support, inside - mean, 0.0)
