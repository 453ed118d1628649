"""Controls: choices that ignore what was proposed."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.estimators.common import at_least_float32, check_positive, needs, soft
from attn_jax.losses import no_credit
from attn_jax.ops import entropy, masked_softmax
from attn_jax.types import Estimator, Key, PyTree, Selection


def uniform() -> Estimator:
    """Control: equal weights over all unmasked places, whatever was proposed."""

    def where(scores: Array) -> Array:
        return masked_softmax(jnp.where(scores == -jnp.inf, scores, 0.0))

    return soft(where, "weights", entropy)


def fixed_point(point: Sequence[float] = (0.0, 0.0)) -> Estimator:
    """Control: always the same location, (x, y); the centre by default."""
    return soft(lambda proposal: jnp.asarray(point, _mean(proposal).dtype), "point")


def random_point(extent: float = 1.0) -> Estimator:
    """Control: l ~ Uniform([-extent, extent]^2), whatever was proposed, greedy or not.

    Raises:
      ValueError: if extent is not positive.
    """
    check_positive("extent", extent)
    log_prob = -2 * math.log(2 * extent)

    def choose(key: Key | None, proposal: PyTree) -> Selection:
        key, mu = needs("random_point", key), _mean(proposal)
        where = jax.random.uniform(key, mu.shape, mu.dtype, -extent, extent)
        certain = jnp.full((), log_prob, mu.dtype)
        return Selection(where, jnp.zeros_like(mu), certain, -certain)

    return Estimator(choose, choose, no_credit, "point")


def fixed_transform(theta: Sequence[Sequence[float]] = ((1, 0, 0), (0, 1, 0))) -> Estimator:
    """Control: always the same transform; the identity by default."""
    return soft(lambda proposal: jnp.asarray(theta, proposal.dtype), "theta")


def _mean(proposal: PyTree) -> Array:
    """mu, of a proposal that may bring a sigma with it."""
    return at_least_float32(proposal[0] if isinstance(proposal, tuple) else proposal)
