"""Small problems whose policy gradient is known exactly.

The policy makes one or two choices of an item [L] or of a place [H, W], or one of a point; the
reward is a smooth, non-linear function of what was read. The policy is a table, in which the first
choice looks up the scores of the second, so that every trajectory can be enumerated.
"""

import math
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.laboratory.estimates import ChoiceReward
from attn_jax.ops import crop, masked_softmax, weighted_sum
from attn_jax.types import Choose, Given, Key, PyTree, Selection


class Rollout(NamedTuple):
    """One trajectory, its reward, and the rewards to expect along it.

    Attributes:
      selection: leaves [T, ...].
      reward: R [].
      before: [T], E[R | s_{t-1}], the output of a perfect value head.
      after: [T], E[R | s_t], which has seen the choice at t: as its baseline it is biased.
    """

    selection: Selection
    reward: Array
    before: Array
    after: Array


@runtime_checkable
class MakeRollout(Protocol):
    """Makes one rollout of a policy."""

    def __call__(self, parameters: PyTree, choose: Choose, key: Key, /) -> Rollout: ...


class Problem(NamedTuple):
    """A policy and its reward.

    Attributes:
      parameters: of the policy.
      rollout: (parameters, choose, key) -> Rollout.
      exact: the gradient of E[R] by the parameters.
      scores: whether the policy proposes scores; if not, it proposes a point.
      reward: (where) -> R of the only choice, where that is one of scores; None otherwise.
    """

    parameters: PyTree
    rollout: MakeRollout
    exact: PyTree
    scores: bool
    reward: ChoiceReward | None

    @property
    def gives(self) -> tuple[Given, ...]:
        """What an estimator that fits may give."""
        return ("weights", "one_hot") if self.scores else ("point",)


def choice_problem(shape: tuple[int, ...], steps: int, seed: int = 0) -> Problem:
    """Make a problem of `steps` (1 or 2) choices among `shape` items or places.

    The exact gradient is enumerated.

    Raises:
      ValueError: unless steps is 1 or 2.
    """
    if steps not in (1, 2):
        raise ValueError(f"steps must be 1 or 2; got {steps}")
    rng, size = np.random.default_rng(seed), math.prod(shape)
    x = jnp.asarray(rng.normal(size=(*shape, 3)), jnp.float32)
    value = _reward(rng, 3 * steps)
    first = jnp.asarray(rng.normal(size=shape), jnp.float32)
    second = jnp.asarray(rng.normal(size=(*shape, *shape)), jnp.float32)
    parameters = (first, second)[:steps]
    one_hots = jnp.eye(size).reshape(size, *shape)

    def proposal(parameters: PyTree, chosen: list[Array]) -> Array:
        """The scores of the choice after those already made."""
        if not chosen:
            return parameters[0]
        return jnp.tensordot(chosen[0], parameters[1], axes=len(shape))

    def reward(chosen: list[Array]) -> Array:
        return value(jnp.concatenate([weighted_sum().apply(x, where) for where in chosen]))

    def expected(parameters: PyTree, chosen: list[Array]) -> Array:
        """E[R | these choices], which may be any weights; the rest is enumerated."""
        if len(chosen) == steps:
            return reward(chosen)
        p = masked_softmax(proposal(parameters, chosen)).ravel()
        return p @ jax.vmap(lambda where: expected(parameters, [*chosen, where]))(one_hots)

    def rollout(parameters: PyTree, choose: Choose, key: Key) -> Rollout:
        chosen, selections = [], []
        values = [expected(parameters, [])]
        for t in range(steps):
            selection = choose(jax.random.fold_in(key, t), proposal(parameters, chosen))
            chosen.append(selection.where)
            selections.append(selection)
            values.append(expected(parameters, chosen))
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *selections)
        known = jax.lax.stop_gradient(jnp.stack(values))
        return Rollout(stacked, reward(chosen), known[:-1], known[1:])

    exact = jax.jit(jax.grad(partial(expected, chosen=[])))(parameters)
    of_one = (lambda where: reward([where])) if steps == 1 else None
    return Problem(parameters, rollout, exact, True, of_one)


def point_problem(sigma: float = 0.3, seed: int = 0) -> Problem:
    """Make a problem of one location in a small image, l ~ N(mu, sigma^2 I).

    The exact gradient is integrated: summed over a grid of 401 x 401 locations within 6 sigma.
    """
    rng = np.random.default_rng(seed)
    image = jnp.asarray(rng.normal(size=(8, 8, 1)), jnp.float32)
    value, read = _reward(rng, 9), crop(3).apply
    mu = jnp.array([0.2, -0.3])

    def reward(location: Array) -> Array:
        return value(read(image, location).ravel())

    def rollout(mu: Array, choose: Choose, key: Key) -> Rollout:
        selection = choose(key, mu)
        of_choice = reward(selection.where)
        selections = jax.tree.map(lambda leaf: leaf[None], selection)
        return Rollout(selections, of_choice, mean[None], jax.lax.stop_gradient(of_choice)[None])

    z = np.linspace(-6, 6, 401)
    z = np.stack(np.meshgrid(z, z, indexing="ij"), -1).reshape(-1, 2)
    p = np.exp(-0.5 * (z**2).sum(-1))
    p /= p.sum()
    locations = jnp.asarray(np.asarray(mu) + sigma * z, jnp.float32)
    rewards = np.asarray(jax.jit(jax.vmap(reward))(locations), np.float64)
    mean = jnp.asarray((p * rewards).sum(), jnp.float32)
    exact = jnp.asarray(((p * rewards)[:, None] * z / sigma).sum(0), jnp.float32)
    return Problem(mu, rollout, exact, False, None)


def _reward(rng: np.random.Generator, width: int) -> ChoiceReward:
    """Make a smooth, non-linear function of what was read [width], with values in (0, 1)."""
    inner = jnp.asarray(rng.normal(size=(width, 8)), jnp.float32)
    outer = jnp.asarray(rng.normal(size=8), jnp.float32)
    return lambda seen: jax.nn.sigmoid(jnp.tanh(seen @ inner) @ outer)
