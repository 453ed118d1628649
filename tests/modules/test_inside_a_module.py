"""A recurrence made inside a user's own module: in a compact method, a setup, nested, lifted."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.estimators import expectation
from attn_jax.modules import (
    AdditiveScores,
    Attend,
    Classifier,
    ClosedLoop,
    Core,
    Flat,
    MeanState,
    Step,
    Unroll,
)
from attn_jax.ops import weighted_sum
from tests.filled import filled
from tests.modules.unrolls import jit

ITEMS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)


def attend() -> Attend:
    return Attend(AdditiveScores(4), expectation(), weighted_sum())


def unrolled(attend: Attend, remat: bool = False, steps: int = 3) -> Unroll:
    step = Step(attend, Flat(5), Core([nn.GRUCell(4)]), MeanState())
    return Unroll(step, steps, remat=remat)


def last(unroll: Unroll, items: jax.Array) -> jax.Array:
    return unroll(unroll.prepare(items))[1].state[:, -1]


class Compact(nn.Module):
    remat: bool = False

    @nn.compact
    def __call__(self, items):
        items = nn.Dense(6)(items)
        return nn.Dense(2)(last(unrolled(attend(), self.remat), items))


class Named(nn.Module):
    """Parts with names of their own, which live beside the unrolling."""

    @nn.compact
    def __call__(self, items):
        items = nn.Dense(6)(items)
        look = Attend(AdditiveScores(4, name="scores"), expectation(), weighted_sum(), name="look")
        step = Step(look, Flat(5), Core([nn.GRUCell(4, name="cell")]), MeanState())
        return nn.Dense(2)(last(Unroll(step, 3, name="unroll"), items))


class Setup(nn.Module):
    def setup(self):
        self.encode, self.unroll, self.head = nn.Dense(6), unrolled(attend()), nn.Dense(2)

    def __call__(self, items):
        return self.head(last(self.unroll, self.encode(items)))


class Shared(nn.Module):
    """Two recurrences that attend by the same parameters."""

    def setup(self):
        self.attend = attend()
        self.one, self.other = unrolled(self.attend), unrolled(self.attend, steps=2)

    def __call__(self, items):
        return last(self.one, items) + last(self.other, items)


class Looped(nn.Module):
    @nn.compact
    def __call__(self, items):
        step = Step(attend(), Flat(), Core([nn.GRUCell(4)]))
        unroll = Unroll(ClosedLoop(step, nn.Embed(3, 3), Classifier(2)), 3)
        return unroll(unroll.prepare(items))[1].logits[:, -1]


class OneStep(nn.Module):
    @nn.compact
    def __call__(self, items):
        step = Step(attend(), Flat(5), Core([nn.GRUCell(4)]), MeanState())
        carry, memory = step.initial(items), step.prepare(items)
        return step(carry, memory, None, None, jnp.asarray(True))[0][1]


class Nested(nn.Module):
    @nn.compact
    def __call__(self, items):
        return Compact()(items) + nn.remat(Compact)(True)(items) + Setup()(items)


class Mapped(nn.Module):
    @nn.compact
    def __call__(self, items):
        twice = nn.vmap(
            Compact,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=None,
            axis_size=2,
        )
        return twice()(items).sum(0)


QUICK = [Compact(), Shared(), Looped()]
SLOW = [Compact(True), Named(), Setup(), OneStep(), Nested(), Mapped()]
MODULES = [*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]


@functools.cache
def made(module: nn.Module):
    return filled(lambda key: module.init(key, ITEMS))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: type(m).__name__)
def test_it_is_made_applied_and_differentiated(module: nn.Module):
    def summed(variables):
        out = module.apply(variables, ITEMS)
        return out.sum(), out

    (_, out), gradient = jit(jax.value_and_grad(summed, has_aux=True))(made(module))
    assert np.isfinite(out).all() and len(np.unique(out)) == out.size
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(leaf).all()
        assert leaf.any()


def test_a_compact_recurrence_equals_one_of_its_own():
    p = made(Compact())["params"]
    core, scores = {"cells_0": p["GRUCell_0"]}, {"propose": p["AdditiveScores_0"]}
    step = {"attend": scores, "fuse": p["Flat_0"], "core": core, "start": p["MeanState_0"]}
    items = nn.Dense(6).apply({"params": p["Dense_0"]}, ITEMS)
    alone = unrolled(attend()).apply({"params": {"step": step}}, items, method=last)
    expected = nn.Dense(2).apply({"params": p["Dense_1"]}, alone)
    np.testing.assert_allclose(Compact().apply(made(Compact()), ITEMS), expected, atol=1e-6)


def test_what_is_shared_has_one_set_of_parameters():
    assert set(made(Shared())["params"]) == {"attend", "one", "other"}
    without = jax.tree.map(jnp.copy, made(Shared()))
    without["params"]["attend"]["propose"]["v"] += 1.0
    for name in ("one", "other"):

        @jit
        def alone(variables, name=name):
            return Shared().apply(variables, ITEMS, method=lambda m, x: last(getattr(m, name), x))

        assert (alone(made(Shared())) != alone(without)).all()


class Dropped(nn.Module):
    """Fusion by nothing but dropout."""

    @nn.compact
    def __call__(self, glimpse, where, inputs):
        return nn.Dropout(0.5, deterministic=False)(glimpse)


def test_each_step_draws_its_own_dropout():
    look = Attend(AdditiveScores(4), expectation(), weighted_sum())
    unroll = Unroll(Step(look, Dropped(), Core([nn.SimpleCell(4)])), 4)

    def fused(unroll: Unroll, items: jax.Array) -> jax.Array:
        return unroll(unroll.prepare(items))[1].state

    ones, keys = jnp.ones((1, 5, 64)), {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = filled(lambda _: unroll.init(keys, ones, method=fused))
    cell = variables["params"]["step"]["core"]["cells_0"]
    cell["h"]["kernel"] = jnp.zeros_like(cell["h"]["kernel"])  # no memory: the input alone
    rngs = {"dropout": keys["dropout"]}
    states = jit(lambda v: unroll.apply(v, ones, method=fused, rngs=rngs))(variables)
    assert len(np.unique(np.asarray(states[0]), axis=0)) == 4
