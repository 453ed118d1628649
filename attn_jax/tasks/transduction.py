"""Sequence to sequence: the objective, and the errors of texts and alignments."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Integer

from attn_jax.checks import check_labels
from attn_jax.losses import cross_entropy
from attn_jax.models import Outputs
from attn_jax.tasks.classification import Reward, log_likelihood
from attn_jax.tasks.credit import Weights, check_rollouts, credited
from attn_jax.types import Baseline, Estimator, PyTree


def to_go(rewards: Float[Array, "*n T"]) -> Float[Array, "*n T"]:
    """Compute rewards to go, R_t = sum_{t' >= t} r_t': a choice is credited with later rewards.

    >>> to_go(jnp.array([1.0, 2.0, 3.0])).tolist()
    [6.0, 5.0, 3.0]
    """
    return jnp.flip(jnp.cumsum(jnp.flip(rewards, -1), -1), -1)


def sequence_objective(
    outputs: Outputs,
    targets: Integer[Array, "B T"],
    *,
    estimator: Estimator,
    baseline: Baseline,
    baseline_state: PyTree = (),
    reward: Reward = log_likelihood,
    weights: Weights = Weights(),  # noqa: B008 - a constant
    greedy: Outputs | None = None,
) -> tuple[Float[Array, ""], tuple[dict[str, Array], PyTree]]:
    """Compute the loss to minimise under teacher forcing, the same for every mechanism over items.

        loss = -sum_t log p(y_t | y_<t, l_<=t) + the terms of `credited`, R_t the reward to go

    Args:
      outputs: of `rollouts` whose inputs are the targets `shifted`, leaves [M, B, T, ...].
      targets: y.
      estimator: credits the choices.
      baseline: what R_t is compared with.
      baseline_state: of the baseline.
      reward: (logits [M, B, T, V], targets [M, B, T]) -> r_t [M, B, T], of one token. With the log
        likelihood, credit ascends the bound E_l log p(y | l) <= log p(y).
      weights: of the terms.
      greedy: one rollout at the estimator's mode, leaves [1, B, T, ...], for a baseline that takes
        "greedy"; None otherwise.

    Returns:
      The loss, its terms and figures by name ("error" is the fraction of texts that are not
      exactly right, in [0, 1]), and the new baseline state.

    Raises:
      ValueError, TypeError: for outputs that are not of `rollouts`, and targets that are not whole
        numbers [B, T] among the tokens.

    Reference: Xu et al. 2015, section 4.1.
    """
    check_rollouts(outputs)
    check_labels("targets", targets, outputs.logits.shape[1:3], outputs.logits.shape[-1], "[B, T]")

    def rewarded(logits: Array) -> Array:
        wanted = jnp.broadcast_to(targets, logits.shape[:3])
        return jax.lax.stop_gradient(to_go(reward(logits, wanted)))

    wanted = jnp.broadcast_to(targets, outputs.logits.shape[:3])
    right = (outputs.logits.argmax(-1) == wanted).all(-1)
    terms, baseline_state = credited(
        outputs,
        rewarded(outputs.logits),
        None if greedy is None else rewarded(greedy.logits),
        estimator=estimator,
        baseline=baseline,
        baseline_state=baseline_state,
        weights=weights,
    )
    terms = {"cross_entropy": cross_entropy(outputs.logits, wanted).sum(-1).mean(), **terms}
    loss = sum(terms.values())
    return loss, ({"loss": loss, **terms, "error": 1 - right.mean()}, baseline_state)


def misaligned(
    where: Float[np.ndarray, "N T L"], spans: Int[np.ndarray, "N T 2"]
) -> tuple[Bool[np.ndarray, "N T"], Bool[np.ndarray, "N T"]]:
    """Tell for each token whether its heaviest item lies outside the span that determines it.

    Args:
      where: weights, or one-hots.
      spans: [start, end) for each token; an empty one if no items determine it.

    Returns:
      (outside, counted): which tokens' items lie outside, and which tokens have a span.

    Raises:
      ValueError: for spans that are not [N, T, 2] beside weights [N, T, L].

    >>> misaligned(np.eye(3)[None], np.array([[[0, 1], [2, 3], [0, 0]]]))[0].tolist()
    [[False, True, False]]
    """
    if where.ndim != 3 or spans.shape != (*where.shape[:2], 2):
        shapes = f"{list(where.shape)} and {list(spans.shape)}"
        raise ValueError(f"where and spans must be [N, T, L] and [N, T, 2]; got {shapes}")
    start, end = spans[..., 0], spans[..., 1]
    place = where.argmax(-1)
    counted = end > start
    return counted & ((place < start) | (place >= end)), counted
