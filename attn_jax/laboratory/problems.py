"""Small problems whose policy gradient is known exactly.

One or two choices of an item [L], of a place [H, W], or one of a point; a reward that is a smooth,
non-linear function of what was read. The policy is a table: the second choice's scores are looked
up by the first, so that every trajectory can be enumerated.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.ops import crop, masked_softmax, weighted_sum
from attn_jax.types import Choose, Key, PyTree, Selection


class Rollout(NamedTuple):
    """One trajectory: selections with leaves [T, ...], its reward [], and s_{t-1} and s_t's values.

    Attributes:
      before: [T], E[R | s_{t-1}], what a perfect value head says.
      after: [T], E[R | s_t], what no baseline may say of the choice at t.
    """

    selection: Selection
    reward: Array
    before: Array
    after: Array


class Problem(NamedTuple):
    """A policy and its reward.

    Attributes:
      parameters: of the policy.
      rollout: (parameters, choose, key) -> Rollout.
      exact: the gradient of E[R] by the parameters.
      scores: whether scores are proposed; else a point.
      follows: (where) -> R of the only choice; None if there are two.
    """

    parameters: PyTree
    rollout: Callable[[PyTree, Choose, Key], Rollout]
    exact: PyTree
    scores: bool
    follows: Callable[[Array], Array] | None


def choices(shape: tuple[int, ...], steps: int, seed: int = 0) -> Problem:
    """`steps` (1 or 2) choices among `shape` items or places, with the exact gradient enumerated.

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
        """The scores of the next choice."""
        if not chosen:
            return parameters[0]
        return jnp.tensordot(chosen[0], parameters[1], axes=len(shape))

    def reward(chosen: list[Array]) -> Array:
        return value(jnp.concatenate([weighted_sum().apply(x, where) for where in chosen]))

    def expected(parameters: PyTree, chosen: list[Array]) -> Array:
        """E[R | these choices]; chosen may be any weights, and is enumerated from there."""
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
    follows = (lambda where: reward([where])) if steps == 1 else None
    return Problem(parameters, rollout, exact, True, follows)


def point(sigma: float = 0.3, seed: int = 0) -> Problem:
    """One location in a small image, l ~ N(mu, sigma^2 I), with the exact gradient integrated.

    The integral is a sum over a grid of 401 x 401 locations within 6 sigma.
    """
    rng = np.random.default_rng(seed)
    image = jnp.asarray(rng.normal(size=(8, 8, 1)), jnp.float32)
    value, read = _reward(rng, 9), crop(3).apply
    mu = jnp.array([0.2, -0.3])

    def reward(location: Array) -> Array:
        return value(read(image, location).ravel())

    def rollout(mu: Array, choose: Choose, key: Key) -> Rollout:
        selection = choose(key, mu)
        now = reward(selection.where)
        one = jax.tree.map(lambda leaf: leaf[None], selection)
        return Rollout(one, now, mean[None], jax.lax.stop_gradient(now)[None])

    z = np.linspace(-6, 6, 401)
    z = np.stack(np.meshgrid(z, z, indexing="ij"), -1).reshape(-1, 2)
    p = np.exp(-0.5 * (z**2).sum(-1))
    p /= p.sum()
    locations = jnp.asarray(np.asarray(mu) + sigma * z, jnp.float32)
    rewards = np.asarray(jax.jit(jax.vmap(reward))(locations), np.float64)
    mean = jnp.asarray((p * rewards).sum(), jnp.float32)
    exact = jnp.asarray(((p * rewards)[:, None] * z / sigma).sum(0), jnp.float32)
    return Problem(mu, rollout, exact, False, None)


def _reward(rng: np.random.Generator, width: int) -> Callable[[Array], Array]:
    """A smooth, non-linear function of what was read, not far from [0, 1]."""
    inner = jnp.asarray(rng.normal(size=(width, 8)), jnp.float32)
    outer = jnp.asarray(rng.normal(size=8), jnp.float32)
    return lambda seen: jax.nn.sigmoid(jnp.tanh(seen @ inner) @ outer)
