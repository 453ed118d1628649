"""Baselines: what a reward is compared with, to lower the variance of the credit.

`apply(state, reward [M, B, T], value [M, B, T] | None, mask [B, T] | None)` gives the baseline,
the regression loss that trains the value (0 where there is none) and the new state. No baseline
depends on the choice that it is compared with: `value` must come from s_{t-1}, and leave-one-out
leaves out the rollout itself.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.checks import check_same_shape
from attn_jax.losses import squared_error
from attn_jax.types import Baseline, PyTree

_Result = tuple[Array, Array, PyTree]


def zero() -> Baseline:
    """b = 0, which is plain REINFORCE  (Williams 1992)."""

    def apply(state: PyTree, reward: Array, value: Array | None, mask: Array | None) -> _Result:
        del value, mask
        return jnp.zeros_like(reward), jnp.zeros_like(reward), state

    return Baseline(tuple, apply)


def learned_value() -> Baseline:
    """b_t = v(s_{t-1}), trained by (R_t - b_t)^2  (Mnih et al. 2014, section 3.1).

    `apply` raises ValueError without a value [M, B, T].
    """

    def apply(state: PyTree, reward: Array, value: Array | None, mask: Array | None) -> _Result:
        if value is None:
            raise ValueError("learned_value needs the model's value [M, B, T]; got None")
        check_same_shape("value", value, "reward", reward)
        loss = squared_error(value, reward)
        loss = loss if mask is None else loss * mask[None]
        return jax.lax.stop_gradient(value), loss, state

    return Baseline(tuple, apply)


def moving_average(decay: float = 0.9) -> Baseline:
    """b <- decay b + (1 - decay) mean R, from b = 0  (Xu et al. 2015, section 4.1).

    A reward is compared with b as it was before this update.

    Args:
      decay: the share of the old b.

    Raises:
      ValueError: unless 0 <= decay < 1.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay must be in [0, 1); got {decay}")

    def apply(state: PyTree, reward: Array, value: Array | None, mask: Array | None) -> _Result:
        del value
        weights = jnp.ones_like(reward) if mask is None else jnp.broadcast_to(mask, reward.shape)
        mean = (weights * reward).sum() / jnp.maximum(weights.sum(), 1)
        new_state = decay * state + (1 - decay) * mean
        return jnp.full_like(reward, state), jnp.zeros_like(reward), new_state

    return Baseline(lambda: jnp.zeros(()), apply)


def self_critical() -> Baseline:
    """b = R of the greedy rollout of the same example  (Rennie et al. 2017).

    The greedy rollout samples nothing that is credited, so b does not depend on the choices.
    `apply` raises ValueError without that reward.
    """

    def apply(state: PyTree, reward: Array, value: Array | None, mask: Array | None) -> _Result:
        del mask
        if value is None:
            raise ValueError("self_critical needs the greedy rollout's reward [M, B, T]; got None")
        return jax.lax.stop_gradient(value), jnp.zeros_like(reward), state

    return Baseline(tuple, apply, "greedy")


def leave_one_out() -> Baseline:
    """b_m = the mean of R over the other rollouts of the example  (Kool et al. 2019).

    `apply` raises ValueError for fewer than two rollouts.
    """

    def apply(state: PyTree, reward: Array, value: Array | None, mask: Array | None) -> _Result:
        del value, mask
        rollouts = reward.shape[0]
        if rollouts < 2:
            raise ValueError(f"leave_one_out needs at least 2 rollouts; got {rollouts}")
        others = (reward.sum(0, keepdims=True) - reward) / (rollouts - 1)
        return others, jnp.zeros_like(reward), state

    return Baseline(tuple, apply)


@runtime_checkable
class MakeBaseline(Protocol):
    """Makes a baseline with its default arguments."""

    def __call__(self) -> Baseline: ...


BASELINES: Mapping[str, MakeBaseline] = {
    "zero": zero,
    "moving_average": moving_average,
    "learned_value": learned_value,
    "self_critical": self_critical,
    "leave_one_out": leave_one_out,
}
