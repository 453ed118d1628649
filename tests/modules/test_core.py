"""A core of cells is the recurrence its paper writes down, whatever it computes in."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.modules import Core
from tests.filled import filled

B, U, WIDTH, T = 2, 3, 4, 3


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def lin(p: dict, name: str, a: np.ndarray) -> np.ndarray:
    return a @ p[name]["kernel"] + p[name].get("bias", 0)


def simple(activation):
    def turn(p: dict, h: np.ndarray, u: np.ndarray):
        h = activation(lin(p, "i", u) + lin(p, "h", h))
        return h, h

    return turn


def gru(p: dict, h: np.ndarray, u: np.ndarray):
    r = sigmoid(lin(p, "ir", u) + lin(p, "hr", h))
    z = sigmoid(lin(p, "iz", u) + lin(p, "hz", h))
    h = (1 - z) * np.tanh(lin(p, "in", u) + r * lin(p, "hn", h)) + z * h
    return h, h


def lstm(p: dict, carry: tuple, u: np.ndarray):
    c, h = carry
    i, f, o = (sigmoid(lin(p, f"i{g}", u) + lin(p, f"h{g}", h)) for g in "ifo")
    c = f * c + i * np.tanh(lin(p, "ig", u) + lin(p, "hg", h))
    h = o * np.tanh(c)
    return (c, h), h


RELU, TANH = (lambda a: np.maximum(a, 0)), np.tanh
CORES = {
    "tanh": ((nn.SimpleCell(WIDTH),), (simple(TANH),)),
    "relu": ((nn.SimpleCell(WIDTH, activation_fn=nn.relu),), (simple(RELU),)),
    "sine": ((nn.SimpleCell(WIDTH, activation_fn=jnp.sin),), (simple(np.sin),)),
    "gru": ((nn.GRUCell(WIDTH),), (gru,)),
    "lstm": ((nn.OptimizedLSTMCell(WIDTH),), (lstm,)),
    "lstm, relu": (
        (nn.OptimizedLSTMCell(WIDTH), nn.SimpleCell(5, activation_fn=nn.relu)),
        (lstm, simple(RELU)),
    ),
    "gru, lstm": ((nn.GRUCell(5), nn.OptimizedLSTMCell(WIDTH)), (gru, lstm)),
}


def problem(core: Core):
    """(variables, the zero carry, inputs [T, B, U])."""
    us = jnp.asarray(np.random.default_rng(0).normal(size=(T, B, U)), jnp.float32)
    carry, _ = core.zeros(B)
    return filled(core.init, carry, us[0]), carry, us


def run(core: Core, variables, carry, us):
    def body(carry, u):
        return core.apply(variables, carry, u)

    return jax.jit(lambda: jax.lax.scan(body, carry, us))()


@pytest.mark.parametrize("name", CORES)
def test_core_equals_the_recurrence_in_numpy(name: str):
    cells, turns = CORES[name]
    core = Core(cells)
    variables, carry, us = problem(core)
    after, states = run(core, variables, carry, us)

    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), (variables["params"], carry))
    params, expected = wide[0], list(wide[1])
    for t in range(T):
        u = np.asarray(us[t], np.float64)
        for i, turn in enumerate(turns):
            expected[i], u = turn(params[f"cells_{i}"], expected[i], u)
        np.testing.assert_allclose(states[t], u, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, tuple(expected))


@pytest.mark.parametrize("name", ["tanh", "lstm", "gru, lstm"])
def test_zeros_are_of_the_shapes_that_a_turn_gives(name: str):
    core = Core(CORES[name][0])
    variables, carry, us = problem(core)
    before = core.zeros(B)
    after = jax.eval_shape(lambda: core.apply(variables, carry, us[0]))
    for zero, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert zero.shape == new.shape
        assert zero.dtype == new.dtype
        assert not zero.any()


@pytest.mark.parametrize("cell", [nn.SimpleCell, nn.GRUCell, nn.OptimizedLSTMCell])
def test_the_carry_keeps_its_dtype_in_bfloat16(cell):
    core = Core((cell(WIDTH, dtype=jnp.bfloat16),))
    variables, carry, us = problem(core)
    after, states = run(core, variables, carry, us)  # a scan refuses a carry that changes dtype
    assert {a.dtype for a in jax.tree.leaves(after)} == {jnp.dtype(jnp.float32)}
    wide = run(Core((cell(WIDTH),)), variables, carry, us)[1]
    states = states.astype(jnp.float32)
    np.testing.assert_allclose(states, wide, atol=0.02)
    assert (states != wide).any()  # it did compute in bfloat16
