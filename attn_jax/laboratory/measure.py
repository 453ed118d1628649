"""How biased a gradient estimate is, how much it varies, and what it costs."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from attn_jax.laboratory.problems import Problem, Rollout
from attn_jax.types import Baseline, Estimator, Key, PyTree

Estimate = Callable[[Key], PyTree]

# Of a two-sided 99.9 % interval: a table of a hundred rows should show no accident.
_Z = 3.2905267314919255
_CHUNK = 20_000
_ROUNDING = 1e-5  # of float32, relative: what an estimate without noise may be off by


class Measured(NamedTuple):
    """What many estimates say, relative to the norm of the exact gradient.

    Attributes:
      bias: <E[g^] - g, d> / ||g||, along the direction d in which a first part of them erred.
      half_width: of bias's 99.9 % interval.
      floor: sqrt(variance / draws) of that first part: a bias well below it has no direction yet,
        and shows only in part.
      variance: tr Cov(g^) / ||g||^2, of one estimate.
      microseconds: one estimate takes, in a batch of many.
      count: estimates drawn.
    """

    bias: float
    half_width: float
    floor: float
    variance: float
    microseconds: float
    count: int

    @property
    def unbiased(self) -> bool:
        """Whether the interval covers 0: not rejected, as far as its width can tell."""
        return abs(self.bias) <= self.half_width + _ROUNDING


def of_problem(
    problem: Problem,
    estimator: Estimator,
    baseline: Baseline,
    rollouts: int = 1,
    value: Callable[[Rollout], Array] = lambda rollout: rollout.before,
) -> Estimate:
    """The gradient that an objective of M rollouts gives: of the reward and of the credit.

    Args:
      problem: what is chosen and rewarded.
      estimator: chooses and credits.
      baseline: compared with; a moving average stands at E[R], and a learned value is perfect.
      rollouts: M.
      value: of a rollout, [T]: what the value head says.
    """

    def surrogate(parameters: PyTree, key: Key) -> Array:
        keys = jax.random.split(key, rollouts)
        rolled = jax.vmap(lambda k: problem.rollout(parameters, estimator.choose, k))(keys)
        told = jax.vmap(value)(rolled)
        if baseline.takes == "greedy":
            told = problem.rollout(parameters, estimator.greedy, key).reward
        shape = rolled.selection.log_prob.shape  # [M, T]; the batch is one example
        reward = jax.lax.stop_gradient(jnp.broadcast_to(rolled.reward[:, None], shape))
        state = jax.tree.map(lambda _: rolled.before[0, 0], baseline.init())
        told = jnp.broadcast_to(told, shape)[:, None]
        compared, _, _ = baseline.apply(state, reward[:, None], told, None)
        credit = estimator.credit(rolled.selection, reward, compared[:, 0])
        return rolled.reward.mean() + credit.sum(-1).mean()

    return partial(jax.grad(surrogate), problem.parameters)


def measure(
    estimate: Estimate, exact: PyTree, key: Key, *, tolerance: float = 0.02, limit: int = 16_000_000
) -> Measured:
    """Draw estimates until the bias is known to `tolerance` of the exact gradient's norm.

    A first part of them gives the direction of the mean error, and the variance; the projections
    of the others on that direction are independent of it, so their mean has an honest interval: it
    covers 0 if there is no bias, and is nearly all of a bias that is well above `floor`. It bounds
    this projection, not the norm of the bias.

    Args:
      estimate: (key) -> a gradient.
      exact: what it should be on average.
      key: consumed.
      tolerance: for the half-width of the interval.
      limit: estimates to draw at most; beyond it the interval stays wider.
    """
    truth = np.asarray(ravel_pytree(exact)[0], np.float64)
    norm = np.linalg.norm(truth)
    draw = jax.jit(lambda key: jax.vmap(lambda k: ravel_pytree(estimate(k))[0])(
        jax.random.split(key, _CHUNK)
    ))  # fmt: skip

    def errors(index: int) -> np.ndarray:
        return np.asarray(draw(jax.random.fold_in(key, index)), np.float64) - truth

    first = np.concatenate([errors(index) for index in range(5)])
    mean = first.mean(0)
    direction = mean / (np.linalg.norm(mean) or 1.0)
    projected = np.empty(0)
    half, index = np.inf, 5
    while half > tolerance and len(projected) < limit:
        projected = np.append(projected, errors(index) @ direction / norm)
        half, index = _Z * projected.std() / np.sqrt(len(projected)), index + 1
    variance = float(first.var(0).sum() / norm**2)
    variance = variance if variance > _ROUNDING**2 else 0.0
    return Measured(
        bias=float(projected.mean()),
        half_width=float(half),
        floor=float(np.sqrt(variance / len(first))),
        variance=variance,
        microseconds=_microseconds(draw, key),
        count=len(first) + len(projected),
    )


def _microseconds(draw: Callable[[Key], Array], key: Key, calls: int = 5) -> float:
    """Median time of one estimate in a chunk."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        jax.block_until_ready(draw(key))
        seconds.append(time.perf_counter() - began)
    return 1e6 * statistics.median(seconds) / _CHUNK
