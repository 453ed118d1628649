"""An unrolled step is a plain loop over it, however it is laid out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.modules import Core, MeanState, Unroll
from tests.modules.unrolls import (
    LSTM,
    B,
    D,
    L,
    Problem,
    T,
    jit,
    looped,
    problem,
    scanned,
    with_gradient,
)

QUICK = ["item soft", "location soft", "location hard", "sequence"]
ALL = [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in ("item hard", "transformer"))]


def assert_close(a, b, atol: float = 1e-6) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=atol), a, b)


@functools.cache
def reference(name: str):
    p = problem(name)
    return with_gradient(scanned(p), p.variables)


@pytest.mark.parametrize("name", ALL)
def test_unroll_equals_a_loop_over_the_step_in_values_and_gradients(name: str):
    p = problem(name)
    assert_close(reference(name), with_gradient(looped(p), p.variables))


@pytest.mark.parametrize("name", QUICK)
def test_every_leaf_of_the_trace_has_a_batch_and_a_time(name: str):
    (_, trace), gradient = reference(name)
    assert {leaf.shape[:2] for leaf in jax.tree.leaves(trace)} == {(B, T)}
    assert any(leaf.any() for leaf in jax.tree.leaves(gradient))
    np.testing.assert_array_equal(trace.before[:, 1:], trace.state[:, :-1])


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("location hard", {"unroll": 2}),  # does not divide T
        ("location soft", {"remat": True}),
        ("sequence", {"remat": True, "unroll": T}),
    ],
)
def test_the_layout_of_the_loop_changes_neither_values_nor_gradients(name: str, layout: dict):
    p = problem(name)
    assert_close(reference(name), with_gradient(scanned(p, **layout), p.variables))


@pytest.mark.parametrize(
    ("name", "cut"), [("location hard", 1), ("location soft", 2), ("sequence", 1)]
)
def test_a_carry_handed_on_continues_the_rollout(name: str, cut: int):
    p = problem(name)

    def part(steps: slice, carry=None):
        unroll = p.unroll.clone(num_steps=len(range(T)[steps]))
        x = p.x if p.unroll.x_axis is None else p.x[:, steps]
        inputs = None if p.inputs is None else p.inputs[:, steps]
        memory = unroll.apply(p.variables, x, method="prepare")
        return unroll.apply(p.variables, memory, p.keys[:, steps], inputs, carry)

    @jit
    def both():
        carry, early = part(slice(0, cut))
        carry, late = part(slice(cut, T), carry)
        return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), early, late)

    assert_close(reference(name)[0], both())


def test_start_makes_the_first_choice_only_and_none_of_a_continued_rollout():
    (carry, trace), _ = reference("location hard")
    where = trace.selection.where
    np.testing.assert_array_equal(where[:, 0], np.zeros((B, 2)))  # `start` looks at the centre
    assert (where[:, 1:] != 0).all()

    p = problem("location hard")
    _, continued = jit(
        lambda carry: p.unroll.apply(
            p.variables, p.unroll.apply(p.variables, p.x, method="prepare"), p.keys, p.inputs, carry
        )
    )(carry)
    assert (continued.selection.where != 0).all()


def test_each_moment_of_a_sequence_sees_its_own_entry():
    p = problem("sequence")
    (_, trace), _ = reference("sequence")
    read = jnp.einsum("btl,btld->btd", trace.selection.where, p.x)
    np.testing.assert_allclose(trace.glimpse, read, atol=1e-6)


def test_inputs_are_joined_at_their_own_moment():
    p = problem("location hard")
    bumped = p._replace(inputs=p.inputs.at[:, 1].add(1.0))
    (_, before), (_, after) = (jit(scanned(q))(p.variables) for q in (p, bumped))
    changed = (before.state != after.state).any((0, 2))
    assert changed.tolist() == [False, True, True]


@pytest.mark.parametrize("steps", [T - 1, T + 1])
def test_a_sequence_of_another_length_is_refused(steps: int):
    unroll: Unroll = problem("sequence").unroll
    message = rf"x must have {T} steps on axis 1; got shape \({B}, {steps}, {L}, {D}\)"
    with pytest.raises(ValueError, match=message):
        unroll.apply(problem("sequence").variables, jnp.zeros((B, steps, L, D)), method="prepare")


def test_no_keys_are_needed_where_nothing_is_sampled():
    p: Problem = problem("item soft")
    keyless = jit(scanned(p._replace(keys=None)))(p.variables)
    assert_close(reference("item soft")[0], keyless)


def test_mean_state_fills_the_state_from_the_mean_annotation():
    core, x = Core((LSTM, LSTM)), problem("item soft").x
    module = MeanState((1,), hidden=(3,))
    variables = module.init(jax.random.key(0), x, core.zeros(B))
    (cells, s) = module.apply(variables, x, core.zeros(B))
    params = variables["params"]
    h = x.mean(1) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"][None]
    leaves = jax.tree.leaves(cells)
    for i, leaf in enumerate(leaves, start=1):  # c and h of both cells, each by a layer of its own
        layer = params[f"Dense_{i}"]
        expected = jnp.tanh(jax.nn.relu(h) @ layer["kernel"] + layer["bias"][None])
        np.testing.assert_allclose(leaf, expected, atol=1e-6)
        assert leaf.any()
    assert len(leaves) == 4
    np.testing.assert_array_equal(s, cells[-1][1])  # the last cell's h


def test_mean_state_is_the_state_before_the_first_glimpse():
    (_, trace), _ = reference("location soft")
    assert trace.before[:, 0].all()
    (_, from_zeros), _ = reference("item soft")
    assert not from_zeros.before[:, 0].any()


def test_mean_state_takes_an_image_flattened():
    x, core = problem("location hard").x, Core((LSTM,))
    module = MeanState(())
    variables = jax.eval_shape(module.init, jax.random.key(0), x, core.zeros(B))
    assert variables["params"]["Dense_0"]["kernel"].shape == (x[0].size, 4)
