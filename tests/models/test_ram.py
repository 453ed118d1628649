"""RAM: shapes, precision, its glimpse network, and which loss reaches which parameters."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_jax import baselines, estimators, ops
from attn_jax.models import GlimpseNet, RecurrentClassifier, ram
from attn_jax.modules import (
    AdditiveScores,
    Affine,
    Attend,
    Classifier,
    Core,
    Flat,
    Step,
    Unroll,
    Value,
    full_view,
    rollout_keys,
)
from attn_jax.tasks import objective, rollouts
from tests.filled import filled

B, T, M, C, SIZE = 3, 3, 4, 5, 8
KEY, IDS = jax.random.key(0), jnp.arange(B)
GAUSSIAN = estimators.gaussian(0.3)
LABELS = jnp.arange(B)


def images(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(B, *shape)), jnp.float32)


def small_ram(estimator=GAUSSIAN, **options: Any) -> RecurrentClassifier:
    small = {"cells": (nn.SimpleCell(6),), "glimpse_hidden": 4, "glimpse_features": 5}
    options = {"read": ops.retina(3, scales=2), **small, **options}
    return ram(estimator=estimator, num_classes=C, num_steps=T, **options)


def test_shapes_of_what_a_rollout_gives():
    model, x = small_ram(), images(SIZE, SIZE, 2)
    variables = filled(model.init, x, rollout_keys(KEY, IDS, T))
    out = jax.eval_shape(lambda v: rollouts(model, v, x, KEY, IDS, M), variables)
    assert out.logits.shape == (M, B, T, C)
    assert out.value.shape == (M, B, T)
    assert out.trace.before.shape == out.trace.state.shape == (M, B, T, 6)
    assert out.trace.glimpse.shape == (M, B, T, 2, 3, 3, 2)
    assert out.trace.selection.where.shape == (M, B, T, 2)
    assert out.trace.selection.log_prob.shape == (M, B, T)


def test_the_papers_sizes_are_the_defaults():
    model = ram(estimator=GAUSSIAN, read=ops.retina(8), num_classes=10, num_steps=6)
    variables = jax.eval_shape(model.init, KEY, images(28, 28, 1), rollout_keys(KEY, IDS, 6))
    step = variables["params"]["unroll"]["step"]
    widths = {name: layer["kernel"].shape for name, layer in step["fuse"].items()}
    assert widths == {
        "what": (64, 128),
        "where": (2, 128),
        "from_what": (128, 256),
        "from_where": (128, 256),
    }
    assert step["core"]["cells_0"]["h"]["kernel"].shape == (256, 256)


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize("cell", [nn.SimpleCell, nn.OptimizedLSTMCell])
def test_logits_values_and_locations_are_float32_whatever_is_computed_in(dtype, cell):
    model = small_ram(dtype=dtype, cells=(cell(6, dtype=dtype),))
    x, keys = images(SIZE, SIZE, 1), rollout_keys(KEY, IDS, T)
    variables = filled(model.init, x, keys)
    out = jax.eval_shape(model.apply, variables, x, keys)
    selection = out.trace.selection
    leaves = (out.logits, out.value, out.trace.state, selection.where, selection.log_prob)
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_bfloat16_is_used_and_close_to_float32():
    x, keys = images(SIZE, SIZE, 1), rollout_keys(KEY, IDS, T)
    wide, narrow = (
        small_ram(estimators.fixed_point(), dtype=d, cells=(nn.SimpleCell(6, dtype=d),))
        for d in (None, jnp.bfloat16)
    )
    variables = filled(wide.init, x, keys)
    a, b = jax.jit(lambda v: (wide.apply(v, x, keys).logits, narrow.apply(v, x, keys).logits))(
        variables
    )
    np.testing.assert_allclose(a, b, atol=0.05)
    assert (a != b).any()


def test_glimpse_net_equals_numpy():
    net, rng = GlimpseNet(4, 5), np.random.default_rng(2)
    patches = rng.normal(size=(B, 2, 3, 3, 1)).astype(np.float32)
    where = rng.uniform(-1, 1, size=(B, 2)).astype(np.float32)
    variables = filled(net.init, jnp.asarray(patches), jnp.asarray(where))
    p = jax.tree.map(np.asarray, variables["params"])

    def lin(name: str, a: np.ndarray) -> np.ndarray:
        return a @ p[name]["kernel"] + p[name]["bias"]

    h_g = np.maximum(lin("what", patches.reshape(B, -1)), 0)
    h_l = np.maximum(lin("where", where), 0)
    expected = np.maximum(lin("from_what", h_g) + lin("from_where", h_l), 0)
    assert (expected > 0).any()
    g = net.apply(variables, jnp.asarray(patches), jnp.asarray(where))
    np.testing.assert_allclose(g, expected, atol=1e-6)


TERMS = ("cross_entropy", "policy", "value")
PATHS = {
    "glimpse net": ("unroll", "step", "fuse"),
    "core": ("unroll", "step", "core"),
    "proposal": ("unroll", "step", "attend"),
    "classifier": ("classify",),
    "value head": ("value",),
}
# Which of TERMS reach each part.
HARD = {
    "glimpse net": (True, True, False),
    "core": (True, True, False),
    "proposal": (False, True, False),
    "classifier": (True, False, False),
    "value head": (False, False, True),
}
DETACHED = {**HARD, "glimpse net": (True, False, False), "core": (True, False, False)}
SOFT = {
    "glimpse net": (True, False, False),
    "core": (True, False, False),
    "proposal": (True, False, False),
    "classifier": (True, False, False),
    "value head": (False, False, True),
}


def classifier_of(attend: Attend) -> RecurrentClassifier:
    step = Step(attend, Flat(5), Core((nn.SimpleCell(6),)))
    return RecurrentClassifier(Unroll(step, T), Classifier(C), Value())


SOFT_ITEMS = classifier_of(Attend(AdditiveScores(4), estimators.expectation(), ops.weighted_sum()))
TRANSFORMER = classifier_of(Attend(Affine(), estimators.identity(), ops.affine(4)))
REACH = {
    "ram": (small_ram(view=full_view), GAUSSIAN, HARD),
    "ram, detached": (small_ram(view=jax.lax.stop_gradient), GAUSSIAN, DETACHED),
    "item soft": (SOFT_ITEMS, estimators.expectation(), SOFT),
    "transformer": (TRANSFORMER, estimators.identity(), SOFT),
}


@functools.cache
def gradients(name: str) -> dict[str, Any]:
    """Of each term of the objective alone, by every parameter."""
    model, estimator, _ = REACH[name]
    x = images(4, 3) if name == "item soft" else images(SIZE, SIZE, 1)
    variables = filled(model.init, x, rollout_keys(KEY, IDS, T), scale=0.6)

    def terms(variables: Any) -> dict[str, jax.Array]:
        outputs = rollouts(model, variables, x, KEY, IDS, M)
        options = {"estimator": estimator, "baseline": baselines.learned_value()}
        figures = objective(outputs, LABELS, **options)[1][0]
        return {term: figures[term] for term in TERMS}

    return jax.jit(jax.jacrev(terms))(variables)


@pytest.mark.parametrize("part", PATHS)
@pytest.mark.parametrize("name", REACH)
def test_each_term_reaches_the_parameters_it_must_and_no_others(name: str, part: str):
    reached = []
    for term in TERMS:
        leaves = functools.reduce(lambda a, k: a[k], PATHS[part], gradients(name)[term]["params"])
        nonzero = {bool(leaf.any()) for leaf in jax.tree.leaves(leaves)}
        assert len(nonzero) == 1  # the whole part or nothing of it
        reached.append(nonzero.pop())
    assert tuple(reached) == REACH[name][2][part]


def test_every_parameter_is_in_a_row_of_the_table():
    covered = sum(
        len(jax.tree.leaves(functools.reduce(lambda a, k: a[k], path, tree)))
        for tree in (gradients("ram")["value"]["params"],)
        for path in PATHS.values()
    )
    assert covered == len(jax.tree.leaves(gradients("ram")["value"]))


def products_with(jaxpr: Any, shape: tuple[int, ...]) -> int:
    """How many matrix products in it, at any depth, give those axes, in any order."""
    count = 0
    for equation in jaxpr.eqns:
        parts = (getattr(p, "jaxpr", p) for p in jax.tree.leaves(equation.params))
        count += sum(products_with(p, shape) for p in parts if hasattr(p, "eqns"))
        if equation.primitive.name == "dot_general":
            count += sorted(equation.outvars[0].aval.shape) == sorted(shape)
    return count


@pytest.mark.parametrize("count", [1, M])
def test_what_depends_on_x_alone_is_computed_once_for_all_rollouts(count: int):
    x, width = images(7, 3), 8  # the annotations' product is [B, 7, 8], like no other
    attend = Attend(AdditiveScores(width), estimators.categorical(), ops.weighted_sum())
    model = classifier_of(attend)
    variables = jax.eval_shape(model.init, KEY, x, rollout_keys(KEY, IDS, T))
    traced = jax.make_jaxpr(lambda v: rollouts(model, v, x, KEY, IDS, count))(variables)
    assert products_with(traced.jaxpr, (B, 7, width)) == 1
    assert products_with(traced.jaxpr, (count, B, 7, width)) == 0
    assert products_with(traced.jaxpr, (count, B, 5)) == 1  # what is fused is found, and repeated


def test_a_rollout_is_the_one_the_model_gives_by_itself():
    model, x = small_ram(), images(SIZE, SIZE, 1)
    variables = filled(model.init, x, rollout_keys(KEY, IDS, T))

    @jax.jit
    def three(variables: Any):
        many = rollouts(model, variables, x, KEY, IDS, 3)
        last = rollouts(model, variables, x, KEY, IDS, 3, answers=slice(-1, None))
        return many, last, model.apply(variables, x, rollout_keys(KEY, IDS, T, 2))

    many, last, one = three(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[2], b, rtol=1e-5, atol=1e-5), many, one)
    where = many.trace.selection.where
    assert (where[0] != where[1]).all()
    np.testing.assert_allclose(last.logits, many.logits[:, :, -1:], rtol=1e-5, atol=1e-5)
    assert last.value.shape == many.value.shape  # a baseline needs all of them


def test_wrapped_for_nnx_the_model_gives_the_same_logits_and_gradients():
    model, x, keys = small_ram(), images(SIZE, SIZE, 1), rollout_keys(KEY, IDS, T)

    @nnx.jit
    def create() -> nnx.Module:
        return nnx.bridge.lazy_init(nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)), x, keys)

    wrapped = create()
    params = nnx.to_pure_dict(nnx.state(wrapped, nnx.Param))
    shapes = jax.eval_shape(model.init, KEY, x, keys)["params"]
    assert jax.tree.structure(params) == jax.tree.structure(shapes)

    def loss(call: Any) -> tuple[jax.Array, jax.Array]:
        logits = call(x, keys).logits
        return (logits**2).sum(), logits

    def linen(params: Any) -> tuple[jax.Array, jax.Array]:
        return loss(lambda *args: model.apply({"params": params}, *args))

    state, logits = nnx.jit(nnx.grad(loss, has_aux=True))(wrapped)
    expected = jax.jit(jax.grad(linen, has_aux=True))(params)
    assert any(leaf.any() for leaf in jax.tree.leaves(expected))
    got = (nnx.to_pure_dict(state), logits)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), got, expected)


@pytest.mark.parametrize("read", [ops.mask(), ops.affine(4)], ids=["mask", "affine"])
def test_a_read_that_takes_no_points_is_refused(read: Any):
    message = f"ram reads at points, by crop or retina; got a read that takes '{read.takes}'"
    with pytest.raises(ValueError, match=message):
        small_ram(read=read)


@pytest.mark.parametrize(
    "misfit", [{"estimator": estimators.categorical()}, {"start": estimators.uniform()}]
)
def test_an_estimator_or_a_start_that_gives_no_points_is_refused(misfit: dict):
    with pytest.raises(ValueError, match=r"the estimator gives '\w+', but the read takes 'point'"):
        small_ram(**misfit)


@pytest.mark.parametrize("length", [T - 1, T + 1])
def test_keys_of_another_length_are_refused(length: int):
    keys = rollout_keys(KEY, IDS, length)
    message = rf"keys must be PRNG keys \[{B}, {T}\]; got PRNG keys \[{B}, {length}\]"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(small_ram().init, KEY, images(SIZE, SIZE, 1), keys)


def test_at_its_mode_a_model_takes_the_same_variables_and_no_keys():
    x, keys = images(SIZE, SIZE, 1), rollout_keys(KEY, IDS, T)
    sampling, greedy = small_ram(), small_ram(GAUSSIAN.at_mode())
    variables = filled(sampling.init, x, keys)
    out = jax.jit(greedy.apply)(variables, x, None)
    np.testing.assert_array_equal(out.trace.selection.where, out.trace.selection.mean)
