"""Bounds of a family's vector, by tanh."""

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from attn_jax.ops.transforms.form import Transform, checked_vector

# One number for all entries of a vector, or one for each.
Entries = float | Sequence[float] | Float[np.ndarray, "n"] | Float[Array, "n"]


def bounded(transform: Transform, bound: Entries) -> Transform:
    """Hold the entries of a family's vector within a bound of the identity, for any vector.

    v = i + b tanh((raw - i) / b), i the identity's vector: near the identity it is raw.

    Args:
      transform: the family.
      bound: b >= 0, one number or one for each entry; 0 fixes an entry, inf leaves it free.

    Returns:
      The family of the raw vector, of the same size, identity and reads.

    Raises:
      ValueError: for a bound of another length, or one that is negative or NaN.

    >>> from attn_jax.ops.transforms import isotropic
    >>> zoom = bounded(isotropic(), [0.5, 1.0, 1.0])
    >>> zoom.apply(jnp.array([-100.0, 100.0, 0.0])).tolist()
    [[0.5, 0.0, 1.0], [0.0, 0.5, 0.0]]
    """
    limits, identity = _limits(transform, bound), np.asarray(transform.identity)

    def apply(raw: Float[Array, "n"]) -> Array:
        wide = checked_vector(raw, transform.size)
        b, i = jnp.asarray(limits, wide.dtype), jnp.asarray(identity, wide.dtype)
        usable = (b > 0) & (b < jnp.inf)
        # Replaced before the division: its gradient would be NaN.
        width = jnp.where(usable, b, 1)
        held = i + width * jnp.tanh((wide - i) / width)
        return transform.apply(jnp.where(usable, held, jnp.where(b > 0, wide, i)))

    return replace(transform, apply=apply)


def vector_before(
    transform: Transform, bound: Entries, vector: Entries, *, name: str = "vector"
) -> Float[np.ndarray, "n"]:
    """Compute the raw vector that `bounded` takes to a vector of the family.

    Args:
      transform: the family, without the bound.
      bound: of `bounded`.
      vector: [n], which lies within the bound.
      name: of the vector, for messages.

    Returns:
      i + b artanh((vector - i) / b), in float64.

    Raises:
      ValueError: if an entry is not within the bound, or there are more or fewer.

    >>> from attn_jax.ops.transforms import isotropic
    >>> vector_before(isotropic(), 0.5, [0.75, 0.0, 0.0]).round(3).tolist()
    [0.725, 0.0, 0.0]
    """
    limits = _limits(transform, bound)
    identity = np.asarray(transform.identity, np.float64)
    vector = np.asarray(vector, np.float64)
    if vector.shape != identity.shape:
        raise ValueError(f"{name} must have shape {identity.shape}; got {vector.shape}")
    away = vector - identity
    if not ((abs(away) < limits) | (away == 0)).all():
        raise ValueError(
            f"{name} must lie within {limits.tolist()} of {identity.tolist()}; "
            f"got {vector.tolist()}"
        )
    usable = (limits > 0) & np.isfinite(limits)
    width = np.where(usable, limits, 1.0)
    raw = width * np.arctanh(np.where(usable, away / width, 0.0))
    return identity + np.where(usable, raw, away)


def _limits(transform: Transform, bound: Entries) -> Float[np.ndarray, "n"]:
    limits = np.asarray(bound, np.float64)
    if limits.shape not in ((), (transform.size,)) or not (limits >= 0).all():
        raise ValueError(
            f"bound must be a number of at least 0, or one for each of {transform.size} entries; "
            f"got {np.asarray(bound).tolist()}"
        )
    return np.broadcast_to(limits, (transform.size,))
