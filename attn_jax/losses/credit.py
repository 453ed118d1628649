"""Credit: surrogates by which choices that cannot be differentiated learn from a reward."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.types import Selection


def score_function(
    selection: Selection, reward: Float[Array, "..."], baseline: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Compute (R - b) log p(l | s), to be maximised, whose gradient is that of REINFORCE.

    It is unbiased as long as b does not depend on this choice.

    Args:
      selection: what was chosen; only `log_prob` [...] is used.
      reward: R [...]; no gradient passes through it.
      baseline: b [...]; no gradient passes through it.

    Returns:
      The surrogate [...], elementwise.

    Reference: Williams 1992; Mnih et al. 2014, eq. 3.
    """
    return jax.lax.stop_gradient(reward - baseline) * selection.log_prob


def no_credit(
    selection: Selection, reward: Float[Array, "..."], baseline: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Give zeros [...]: soft choices learn by differentiation, and controls do not learn."""
    del baseline
    return jnp.zeros_like(selection.log_prob * reward)
