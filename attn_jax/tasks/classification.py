"""Classification by glimpses: rewards, rollouts, the objective, and class probabilities."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Shaped

from attn_jax.checks import check_count, check_ids, check_keys, check_labels
from attn_jax.losses import cross_entropy, is_class
from attn_jax.models import Outputs
from attn_jax.modules import rollout_keys
from attn_jax.tasks.credit import Weights, check_rollouts, credited
from attn_jax.types import Baseline, Estimator, Key, PyTree


@runtime_checkable
class Reward(Protocol):
    """Gives R [...] of the logits [..., C] and the right labels [...]."""

    def __call__(self, logits: Array, labels: Array, /) -> Array: ...


def is_right(logits: Float[Array, "*n C"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """R = 1 if the likeliest class is the right one, else 0  (Mnih et al. 2014, section 3.1).

    Raises:
      ValueError, TypeError: for labels that `losses.cross_entropy` refuses.
    """
    check_labels("labels", labels, logits.shape[:-1], logits.shape[-1])
    return (logits.argmax(-1) == labels).astype(jnp.float32)


def probability_right(logits: Float[Array, "*n C"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """R = p(y), the mean of `is_right` if the class were drawn from p; 0 of what is no class."""
    p = jnp.exp(-cross_entropy(logits, labels))
    return jnp.where(is_class(labels, logits.shape[-1]), p, 0.0)


def log_likelihood(logits: Float[Array, "*n C"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """R = log p(y), with which credit ascends E_l log p(y | l) <= log p(y)  (Ba et al. 2015)."""
    return -cross_entropy(logits, labels)


# name -> (logits [..., C], labels [...]) -> R [...].
REWARDS: Mapping[str, Reward] = {
    "right": is_right,
    "probability": probability_right,
    "log_likelihood": log_likelihood,
}


def rollouts(
    model: Any,
    variables: PyTree,
    x: Shaped[Array, "B *x"],
    key: Key,
    ids: Int[Array, "B"],
    count: int,
    inputs: Array | None = None,
    answers: slice = slice(None),
) -> Outputs:
    """Roll each example out `count` times; x is prepared once for all.

    Args:
      model: a `RecurrentClassifier` or `Seq2Seq`.
      variables: of the model.
      x: [B, ...].
      key: one key; that of each choice is folded from (example id, rollout, time).
      ids: an integer that names each example.
      count: M.
      inputs: [B, T, ...], one for each step; None if there are none.
      answers: the steps whose logits are returned.

    Returns:
      The outputs, leaves [M, B, T, ...].

    Raises:
      ValueError, TypeError: for what are not one key, ids [B] and a count of at least 1.
    """
    check_keys("key", key, ())
    check_ids("ids", ids, x.shape[0])
    check_count("count", count)
    memory = model.apply(variables, x, method="prepare")

    def one(m: Array) -> Outputs:
        keys = rollout_keys(key, ids, model.unroll.num_steps, m)
        return model.apply(variables, memory, keys, inputs, answers, method="rollout")

    return jax.vmap(one)(jnp.arange(count))


def objective(
    outputs: Outputs,
    labels: Int[Array, "B"],
    *,
    estimator: Estimator,
    baseline: Baseline,
    baseline_state: PyTree = (),
    reward: Reward = is_right,
    weights: Weights = Weights(),  # noqa: B008 - a constant
    greedy: Outputs | None = None,
) -> tuple[Float[Array, ""], tuple[dict[str, Array], PyTree]]:
    """Compute the loss to minimise, which is the same for every mechanism.

        loss = -log p(y) - w_pi sum_t (R - b_t) log p(l_t | s_{t-1}) + w_v mean_t (R - b_t)^2
               - w_H mean_t H_t,   R of the class after the last step

    The credit of a soft mechanism is zero.

    Args:
      outputs: of `rollouts`, leaves [M, B, T, ...].
      labels: y.
      estimator: credits the choices.
      baseline: what R is compared with.
      baseline_state: of the baseline.
      reward: (logits [M, B, C], labels [M, B]) -> R [M, B], without a gradient.
      weights: of the terms.
      greedy: one rollout at the estimator's mode, leaves [1, B, T, ...], for a baseline that takes
        "greedy"; None otherwise.

    Returns:
      The loss, its terms and figures by name ("error" is the fraction of rollouts whose class is
      wrong, in [0, 1]), and the new baseline state.

    Raises:
      ValueError: for outputs that are not of `rollouts`, and labels that are not [B] or outside the
        classes; those under `jax.jit` as `losses.cross_entropy` says.
      TypeError: for labels that are not whole numbers.

    Reference: Mnih et al. 2014, section 3.1.
    """
    check_rollouts(outputs)
    check_labels("labels", labels, outputs.logits.shape[1:2], outputs.logits.shape[-1], "[B]")

    def rewarded(logits: Array) -> Array:
        right = reward(logits, jnp.broadcast_to(labels, logits.shape[:2]))
        shape = (*right.shape, outputs.value.shape[-1])
        return jnp.broadcast_to(jax.lax.stop_gradient(right)[..., None], shape)

    logits = outputs.logits[:, :, -1]
    terms, baseline_state = credited(
        outputs,
        rewarded(logits),
        None if greedy is None else rewarded(greedy.logits[:, :, -1]),
        estimator=estimator,
        baseline=baseline,
        baseline_state=baseline_state,
        weights=weights,
    )
    labels = jnp.broadcast_to(labels, logits.shape[:2])
    terms = {"cross_entropy": cross_entropy(logits, labels).mean(), **terms}
    loss = sum(terms.values())
    figures = {"loss": loss, **terms, "error": 1 - is_right(logits, labels).mean()}
    return loss, (figures, baseline_state)


def probabilities(
    model: Any, variables: PyTree, x: Array, key: Key, ids: Array, count: int
) -> Float[Array, "B T C"]:
    """Average the class probabilities after each step over `count` rollouts; see `rollouts`."""
    outputs = rollouts(model, variables, x, key, ids, count)
    return jax.nn.softmax(outputs.logits).mean(0)
