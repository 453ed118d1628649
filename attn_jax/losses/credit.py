"""Credit: how a choice that cannot be differentiated learns from its reward."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.types import Selection


def score_function(
    selection: Selection, reward: Float[Array, "..."], baseline: Float[Array, "..."]
) -> Float[Array, "..."]:
    """(R - b) log p(l | s), to be maximised: its gradient is REINFORCE's (Williams 1992).

    Args:
      selection: what was chosen; only `log_prob` [...] is used.
      reward: R [...], constant to the gradient.
      baseline: b [...], likewise. Unbiased as long as b does not depend on this choice.

    Returns:
      The surrogate [...], elementwise.

    Reference: Mnih et al. 2014, eq. 3.
    """
    return jax.lax.stop_gradient(reward - baseline) * selection.log_prob


def no_credit(
    selection: Selection, reward: Float[Array, "..."], baseline: Float[Array, "..."]
) -> Float[Array, "..."]:
    """0: a soft choice is credited by differentiation, a control is not credited at all."""
    del baseline
    return jnp.zeros_like(selection.log_prob * reward)
