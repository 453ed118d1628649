"""How biased a gradient estimate is, how much it varies, and what it costs."""

import statistics
import time
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from attn_jax.laboratory.problems import Problem, Rollout
from attn_jax.types import Baseline, Estimator, Key, PyTree

# The quantile of a two-sided 99.9 % interval: of a hundred rows none should stand out by chance.
_Z = 3.2905267314919255
_CHUNK = 20_000  # estimates drawn by one call
_FIRST = 5  # chunks that give the direction of the mean error
_ROUNDING = 1e-5  # relative error that float32 leaves in an estimate without noise


@runtime_checkable
class Estimate(Protocol):
    """Gives one random estimate of a gradient."""

    def __call__(self, key: Key, /) -> PyTree: ...


@runtime_checkable
class RolloutValue(Protocol):
    """Gives the value [T] that each choice of a rollout is compared with."""

    def __call__(self, rollout: Rollout, /) -> Array: ...


class Measurement(NamedTuple):
    """The bias, variance and cost of a gradient estimate, relative to the exact gradient g.

    Attributes:
      bias: <E[g^] - g, d> / ||g||, along the direction d of the mean error of the first estimates.
      half_width: half the width of the bias's 99.9 % interval.
      floor: sqrt(variance / n), n the first estimates: a bias well below it does not show in their
        mean, so that d may miss it.
      variance: tr Cov(g^) / ||g||^2, of one estimate.
      microseconds: the time of one estimate in a batch of many.
      count: the number of estimates drawn.
    """

    bias: float
    half_width: float
    floor: float
    variance: float
    microseconds: float
    count: int

    @property
    def unbiased(self) -> bool:
        """Whether the interval of the bias covers 0, up to rounding."""
        return abs(self.bias) <= self.half_width + _ROUNDING


def objective_gradient(
    problem: Problem,
    estimator: Estimator,
    baseline: Baseline,
    rollouts: int = 1,
    value: RolloutValue = lambda rollout: rollout.before,
) -> Estimate:
    """Estimate the gradient of a problem's reward as training does, by M rollouts.

    The estimate is the gradient of mean reward plus mean credit.

    Args:
      problem: the policy and its reward.
      estimator: chooses and credits.
      baseline: what the reward is compared with; the state of a moving average is E[R], and the
        value that a learned baseline receives is perfect.
      rollouts: M.
      value: (rollout) -> [T], the output of the value head.
    """

    def surrogate(parameters: PyTree, key: Key) -> Array:
        keys = jax.random.split(key, rollouts)
        rolled = jax.vmap(lambda k: problem.rollout(parameters, estimator.choose, k))(keys)
        values = jax.vmap(value)(rolled)
        if baseline.takes == "greedy":
            values = problem.rollout(parameters, estimator.greedy, key).reward
        shape = rolled.selection.log_prob.shape  # [M, T]; the batch is one example
        reward = jax.lax.stop_gradient(jnp.broadcast_to(rolled.reward[:, None], shape))
        state = jax.tree.map(lambda _: rolled.before[0, 0], baseline.init())
        values = jnp.broadcast_to(values, shape)[:, None]
        compared, _, _ = baseline.apply(state, reward[:, None], values, None)
        credit = estimator.credit(rolled.selection, reward, compared[:, 0])
        return rolled.reward.mean() + credit.sum(-1).mean()

    return partial(jax.grad(surrogate), problem.parameters)


def measure(
    estimate: Estimate, exact: PyTree, key: Key, *, tolerance: float = 0.02, limit: int = 16_000_000
) -> Measurement:
    """Draw estimates until the bias is known to `tolerance` of the exact gradient's norm.

    The first estimates give the variance and the direction of the mean error. The projections of
    all later ones on that direction are independent of it, so that the interval of their mean is
    valid: without a bias it covers 0, and a bias well above `floor` it shows nearly whole. It
    bounds the bias along this direction, not its norm.

    Args:
      estimate: (key) -> a gradient.
      exact: the gradient that it estimates.
      key: consumed.
      tolerance: the half-width of the interval to reach.
      limit: the most estimates to draw after the first; at the limit the interval stays wider.
    """
    truth = np.asarray(ravel_pytree(exact)[0], np.float64)
    norm = np.linalg.norm(truth)
    draw = jax.jit(lambda key: jax.vmap(lambda k: ravel_pytree(estimate(k))[0])(
        jax.random.split(key, _CHUNK)
    ))  # fmt: skip

    def errors(index: int) -> np.ndarray:
        return np.asarray(draw(jax.random.fold_in(key, index)), np.float64) - truth

    first = np.concatenate([errors(index) for index in range(_FIRST)])
    mean = first.mean(0)
    direction = mean / (np.linalg.norm(mean) or 1.0)
    projected = np.empty(0)
    half, index = np.inf, _FIRST
    while half > tolerance and len(projected) < limit:
        projected = np.append(projected, errors(index) @ direction / norm)
        half, index = _Z * projected.std() / np.sqrt(len(projected)), index + 1
    variance = float(first.var(0).sum() / norm**2)
    variance = variance if variance > _ROUNDING**2 else 0.0
    return Measurement(
        bias=float(projected.mean()),
        half_width=float(half),
        floor=float(np.sqrt(variance / len(first))),
        variance=variance,
        microseconds=_microseconds(draw, key),
        count=len(first) + len(projected),
    )


def _microseconds(draw: Estimate, key: Key, calls: int = 5) -> float:
    """The median time of one estimate, as part of a chunk."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        jax.block_until_ready(draw(key))
        seconds.append(time.perf_counter() - began)
    return 1e6 * statistics.median(seconds) / _CHUNK
