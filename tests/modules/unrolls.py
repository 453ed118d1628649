"""Small recurrences, one a mechanism, and the plain loop they must equal."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import estimators, ops
from attn_jax.modules import (
    AdditiveScores,
    Affine,
    Attend,
    Core,
    Flat,
    Location,
    MeanState,
    StateScores,
    Step,
    Unroll,
    rollout_keys,
)
from attn_jax.types import Trace
from tests.filled import filled
from tests.xla import QUICK

B, T, L, D, SIZE = 2, 3, 5, 3, 8
# The programs are tiny: compiling them is what takes time.
jit = functools.partial(jax.jit, compiler_options=QUICK)

TANH, LSTM = nn.SimpleCell(4), nn.OptimizedLSTMCell(4)
RELU = nn.SimpleCell(4, activation_fn=nn.relu)

EXPECTATION, CATEGORICAL = estimators.expectation(), estimators.categorical()
GAUSSIAN, IDENTITY = estimators.gaussian(0.3), estimators.identity()
CENTRE = estimators.fixed_point()
ITEMS, PLACES, MASK = (B, L, D), (B, 3, 4, D), ops.mask()
MEAN = ops.weighted_sum()
GLIMPSE = ops.retina(3, scales=2)
IMAGES = (B, SIZE, SIZE, 1)


class Spec(NamedTuple):
    attend: Attend
    shape: tuple[int, ...]
    cells: tuple[nn.RNNCellBase, ...] = (TANH,)
    inputs: bool = False
    x_axis: int | None = None
    start: nn.Module | None = None


SPECS = {
    "item soft": Spec(Attend(AdditiveScores(4), EXPECTATION, MEAN), ITEMS, (LSTM,)),
    "item hard": Spec(Attend(StateScores((L,)), CATEGORICAL, MEAN), ITEMS, (nn.GRUCell(3),)),
    "location soft": Spec(
        Attend(AdditiveScores(4), EXPECTATION, MASK), PLACES, start=MeanState((1, 2))
    ),
    "location hard": Spec(
        Attend(Location((3,)), GAUSSIAN, GLIMPSE, CENTRE), IMAGES, (RELU, LSTM), inputs=True
    ),
    "transformer": Spec(Attend(Affine(), IDENTITY, ops.affine(4)), IMAGES, inputs=True),
    "sequence": Spec(
        Attend(AdditiveScores(4), CATEGORICAL, MEAN), (B, T, L, D), x_axis=1, inputs=True
    ),
}


class Problem(NamedTuple):
    unroll: Unroll
    variables: Any
    x: jax.Array
    keys: Any
    inputs: jax.Array | None


@functools.cache
def problem(name: str) -> Problem:
    spec, rng = SPECS[name], np.random.default_rng(1)
    step = Step(spec.attend, Flat(5), Core(spec.cells), spec.start)
    unroll = Unroll(step, T, spec.x_axis)
    x = jnp.asarray(rng.normal(size=spec.shape), jnp.float32)
    inputs = jnp.asarray(rng.normal(size=(B, T, 2)), jnp.float32) if spec.inputs else None
    keys = rollout_keys(jax.random.key(3), jnp.arange(B), T)

    def init(key: Any) -> Any:
        return unroll.init(key, x, keys, inputs, method=whole)

    return Problem(unroll, filled(init), x, keys, inputs)


def whole(unroll: Unroll, x: jax.Array, *rest: Any) -> tuple[Any, Trace]:
    return unroll(unroll.prepare(x), *rest)


def scanned(p: Problem, **changes: Any) -> Callable:
    """variables -> (carry, trace) of the Unroll itself, with some attributes changed."""
    unroll = p.unroll.clone(**changes)
    return lambda variables: unroll.apply(variables, p.x, p.keys, p.inputs, method=whole)


def looped(p: Problem) -> Callable:
    """variables -> (carry, trace) of a Python loop over the step."""
    step = p.unroll.step.clone(parent=None, name=None)

    def run(variables: Any) -> tuple[Any, Trace]:
        mine = {"params": variables["params"]["step"]}
        memory = step.apply(mine, p.x, method="prepare")
        carry = step.apply(mine, p.x, method="initial")
        traces = []
        for t in range(T):
            here = memory if p.unroll.x_axis is None else jax.tree.map(lambda a: a[:, t], memory)
            inputs = None if p.inputs is None else p.inputs[:, t]
            first = jnp.asarray(t == 0)
            carry, trace = step.apply(mine, carry, here, inputs, p.keys[:, t], first)
            traces.append(trace)
        return carry, jax.tree.map(lambda *a: jnp.stack(a, 1), *traces)

    return run


def with_gradient(run: Callable, variables: Any) -> tuple[Any, Any]:
    """((carry, trace), gradient by every variable of a random projection of the two)."""

    def loss(variables: Any) -> tuple[jax.Array, Any]:
        out, rng = run(variables), np.random.default_rng(2)
        total = sum((leaf * rng.normal(size=leaf.shape)).mean() for leaf in jax.tree.leaves(out))
        return total, out

    gradient, out = jit(jax.grad(loss, has_aux=True))(variables)
    return out, gradient
