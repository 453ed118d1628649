"""Controls: choices that ignore the proposal."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.estimators.common import at_least_float32, check_positive, deterministic, require_key
from attn_jax.losses import no_credit
from attn_jax.ops import entropy, masked_softmax
from attn_jax.types import Estimator, Key, PyTree, Selection


def uniform() -> Estimator:
    """Give equal weights to all places that are not masked."""

    def where(scores: Array) -> Array:
        return masked_softmax(jnp.where(scores == -jnp.inf, scores, 0.0))

    return deterministic(where, "weights", entropy)


def fixed_point(point: Sequence[float] = (0.0, 0.0)) -> Estimator:
    """Give always the same location, (x, y); the centre by default."""
    return deterministic(lambda proposal: jnp.asarray(point, _mean(proposal).dtype), "point")


def random_point(extent: float = 1.0) -> Estimator:
    """Draw a location l ~ Uniform([-extent, extent]^2); the greedy choice is drawn too.

    Args:
      extent: half the width of the square; 1 is the whole image.

    Raises:
      ValueError: if extent is not positive.
    """
    check_positive("extent", extent)
    log_prob = -2 * math.log(2 * extent)

    def choose(key: Key | None, proposal: PyTree) -> Selection:
        key, mu = require_key("random_point", key), _mean(proposal)
        where = jax.random.uniform(key, mu.shape, mu.dtype, -extent, extent)
        log_density = jnp.full((), log_prob, mu.dtype)
        return Selection(where, jnp.zeros_like(mu), log_density, -log_density)

    return Estimator(choose, choose, no_credit, "point")


def fixed_transform(theta: Sequence[Sequence[float]] = ((1, 0, 0), (0, 1, 0))) -> Estimator:
    """Give always the same transform theta [2, 3]; the identity by default."""
    return deterministic(lambda proposal: jnp.asarray(theta, proposal.dtype), "theta")


def _mean(proposal: PyTree) -> Array:
    """mu of a proposal that is mu or (mu, sigma)."""
    return at_least_float32(proposal[0] if isinstance(proposal, tuple) else proposal)
