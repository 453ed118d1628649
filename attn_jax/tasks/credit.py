"""The terms that every objective adds to its likelihood: credit, regression, entropy."""

from typing import NamedTuple

from jax import Array
from jaxtyping import Float

from attn_jax.models import Outputs
from attn_jax.types import Baseline, Estimator, PyTree


class Weights(NamedTuple):
    """The weights of an objective's terms; that of the cross-entropy is 1.

    Attributes:
      policy: of the credit.
      value: of the baseline's regression.
      entropy: of the policy's entropy, which is raised.
    """

    policy: float = 1.0
    value: float = 1.0
    entropy: float = 0.0


def check_rollouts(outputs: Outputs) -> None:
    """Refuse outputs of one rollout, which have no axis M.

    Raises:
      ValueError: naming the shape of the logits.
    """
    if outputs.logits.ndim != 4:
        raise ValueError(
            "outputs must have leaves [M, B, T, ...], as tasks.rollouts gives them; "
            f"got logits {list(outputs.logits.shape)}"
        )


def credited(
    outputs: Outputs,
    rewards: Float[Array, "M B T"],
    greedy: Float[Array, "1 B T"] | None,
    *,
    estimator: Estimator,
    baseline: Baseline,
    baseline_state: PyTree,
    weights: Weights,
) -> tuple[dict[str, Array], PyTree]:
    """Compute the terms of credit, of the baseline's regression, and of entropy.

        policy = -w_pi sum_t (R_t - b_t) log p(l_t | s_{t-1})
        value = w_v mean_t (R_t - b_t)^2,   entropy = -w_H mean_t H_t

    Args:
      outputs: of `rollouts`, leaves [M, B, T, ...].
      rewards: R_t, without a gradient.
      greedy: the rewards of a rollout at the estimator's mode, for a baseline that takes "greedy";
        None otherwise.
      estimator: credits the choices.
      baseline: what R_t is compared with.
      baseline_state: of the baseline.
      weights: of the terms.

    Returns:
      The terms by name, each a mean over rollouts and examples, and the new baseline state.
    """
    value = greedy if baseline.takes == "greedy" else outputs.value
    compared, regression, state = baseline.apply(baseline_state, rewards, value, None)
    credit = estimator.credit(outputs.trace.selection, rewards, compared)
    terms = {
        "policy": -weights.policy * credit.sum(-1).mean(),
        "value": weights.value * regression.mean(),
        "entropy": -weights.entropy * outputs.trace.selection.entropy.mean(),
    }
    return terms, state
