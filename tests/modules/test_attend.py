"""Attention over a batch: masks hold, keys belong to examples, estimators own no parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filled import filled

from attn_jax import estimators, ops
from attn_jax.modules import (
    AdditiveScores,
    Affine,
    Attend,
    Core,
    Flat,
    Location,
    Memory,
    StateScores,
    Step,
    Unroll,
    rollout_keys,
)
from attn_jax.types import check_fit

B, L, D, S = 4, 5, 3, 6
KEY = jax.random.key(7)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def attended(propose: nn.Module, choose, read, x, mask=None):
    """(glimpse, selection) of one step, at a random state."""
    attend, s = Attend(propose, choose, read), normal(B, S, seed=1)

    def run(attend: Attend):
        keys = rollout_keys(KEY, jnp.arange(B), 1)[:, 0]
        return attend(attend.prepare(x, mask), s, keys, jnp.asarray(True))

    variables = filled(lambda key: attend.init(key, method=run))
    return jax.jit(lambda: attend.apply(variables, method=run))()


SCORES = {
    "additive, items": (AdditiveScores(4), (L,)),
    "additive, places": (AdditiveScores(4), (2, 3)),
    "state, items": (StateScores((L,)), (L,)),
    "state, places": (StateScores((2, 3)), (2, 3)),
}


@pytest.mark.parametrize(
    ("name", "estimator"),
    [
        ("additive, items", "expectation"),
        ("additive, items", "uniform"),
        ("additive, places", "categorical"),
        ("state, items", "categorical"),
        ("state, places", "expectation"),
    ],
)
def test_what_is_masked_is_never_looked_at(name: str, estimator: str):
    propose, shape = SCORES[name]
    x = normal(B, *shape, D)
    mask = jnp.arange(B * np.prod(shape)).reshape(B, *shape) % 3 > 0
    mask = mask.at[0].set(False)  # nothing to look at in the first example
    choose = getattr(estimators, estimator)().choose
    read = ops.weighted_sum().apply
    glimpse, selection = attended(propose, choose, read, x, mask)

    assert not selection.where[~mask].any()
    total = selection.where.reshape(B, -1).sum(1)
    np.testing.assert_allclose(total, [0.0] + [1.0] * (B - 1), atol=1e-6)
    assert not glimpse[0].any()
    assert jnp.isfinite(selection.log_prob).all()

    hidden = x + 100.0 * ~mask[..., None]  # what is hidden does not matter
    again, same = attended(propose, choose, read, hidden, mask)
    np.testing.assert_array_equal(glimpse, again)
    np.testing.assert_array_equal(selection.mean, same.mean)


@pytest.mark.parametrize("name", ["additive, places", "state, places"])
def test_a_mask_of_everything_is_no_mask(name: str):
    propose, shape = SCORES[name]
    x, choose, read = normal(B, *shape, D), estimators.expectation().choose, ops.mask().apply
    bare = attended(propose, choose, read, x)
    masked = attended(propose, choose, read, x, jnp.ones((B, *shape), bool))
    jax.tree.map(np.testing.assert_array_equal, bare, masked)


def test_additive_scores_compare_each_item_with_the_state():
    x, s, module = normal(B, L, D), normal(B, S, seed=1), AdditiveScores(4)
    read, choose = ops.weighted_sum().apply, estimators.expectation().choose
    attend = Attend(module, choose, read)

    def run(attend: Attend):
        return attend.propose(attend.prepare(x), s)

    variables = filled(lambda key: attend.init(key, method=run))
    p = jax.tree.map(np.asarray, variables["params"]["propose"])
    keys = np.asarray(x) @ p["annotations"]["kernel"] + p["annotations"]["bias"]
    expected = np.tanh(keys + (np.asarray(s) @ p["query"]["kernel"])[:, None]) @ p["v"]
    np.testing.assert_allclose(attend.apply(variables, method=run), expected, atol=1e-6)


LOOK = Unroll(
    Step(
        Attend(Location(), estimators.gaussian(0.3).choose, ops.crop(3).apply),
        Flat(5),
        Core((nn.SimpleCell(S),)),
    ),
    num_steps=3,
)


@pytest.fixture(scope="module")
def looked():
    """(images, ids) -> trace, of one set of variables."""

    def run(unroll: Unroll, x, ids):
        return unroll(unroll.prepare(x), rollout_keys(KEY, ids, 3))[1]

    variables = filled(
        lambda key: LOOK.init(key, normal(B, 8, 8, 1), jnp.arange(B), method=run), scale=1.0
    )
    return jax.jit(lambda x, ids: LOOK.apply(variables, x, ids, method=run))


def assert_same(a, b, **tolerance: float) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_an_example_does_not_depend_on_the_others_in_its_batch(looked):
    x, ids = normal(B, 8, 8, 1), jnp.array([10, 11, 12, 13])
    others = x.at[1:].set(normal(B - 1, 8, 8, 1, seed=5)), ids.at[1:].set(jnp.array([3, 2, 1]))
    mine, same = (jax.tree.map(lambda a: a[0], looked(*args)) for args in ((x, ids), others))
    jax.tree.map(np.testing.assert_array_equal, mine, same)


def test_an_example_does_not_depend_on_its_place_in_the_batch_or_the_batch_size(looked):
    x, ids = normal(B, 8, 8, 1), jnp.array([10, 11, 12, 13])
    trace, order = looked(x, ids), jnp.array([2, 0, 3, 1])
    expected = jax.tree.map(lambda a: a[order], trace)
    assert_same(looked(x[order], ids[order]), expected, rtol=1e-6, atol=1e-6)
    part = jax.tree.map(lambda a: a[:2], expected)
    assert_same(looked(x[order[:2]], ids[order[:2]]), part, rtol=1e-6, atol=1e-6)
    assert (trace.selection.where != expected.selection.where).all()


def test_a_key_depends_on_the_id_the_rollout_and_the_time_alone():
    def bits(ids, steps, rollout=0):
        return np.asarray(jax.random.key_data(rollout_keys(KEY, jnp.array(ids), steps, rollout)))

    keys = bits([4, 9, 2], 5)
    assert keys.shape[:2] == (3, 5)
    np.testing.assert_array_equal(keys[::-1], bits([2, 9, 4], 5))  # not on the place
    np.testing.assert_array_equal(keys[1:2, :2], bits([9], 2))  # nor on how many there are
    np.testing.assert_array_equal(bits([4, 4], 2)[0], bits([4, 4], 2)[1])
    every = np.concatenate([bits([4, 9, 2], 5, m) for m in range(3)]).reshape(45, -1)
    assert len(np.unique(every, axis=0)) == 45


FITTING = {
    "weighted_sum": (AdditiveScores(4), (L, D), ops.weighted_sum()),
    "mask": (StateScores((L,)), (L, D), ops.mask()),
    "retina": (Location((3,)), (8, 8, 1), ops.retina(3)),
    "affine": (Affine((3,)), (8, 8, 1), ops.affine(3)),
}
MEMBERS = {
    "expectation": estimators.expectation(),
    "categorical": estimators.categorical(),
    "uniform": estimators.uniform(),
    "gaussian": estimators.gaussian(0.1),
    "random_point": estimators.random_point(),
    "fixed_point": estimators.fixed_point(),
    "identity": estimators.identity(),
}


def fits(estimator, read) -> bool:
    try:
        check_fit(estimator, read)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", ["weighted_sum", "mask", "retina"])
def test_swapping_the_estimator_changes_no_parameter(name: str):
    propose, shape, read = FITTING[name]
    members = [m for m in MEMBERS.values() if fits(m, read)]
    assert len(members) == 3
    x, keys = normal(B, *shape), rollout_keys(KEY, jnp.arange(B), 2)

    def made(choose, start=None):
        step = Step(Attend(propose, choose, read.apply, start), Flat(), Core((nn.SimpleCell(4),)))

        def run(unroll: Unroll):
            return unroll(unroll.prepare(x), keys)

        return Unroll(step, 2).init(KEY, method=run)

    first, *others = jax.jit(
        lambda: [made(m.choose) for m in members] + [made(members[0].choose, members[1].greedy)]
    )()
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, first, other)
    assert "propose" in first["params"]["step"]["attend"]  # even a control has the proposal's


def test_affine_starts_as_the_identity_at_its_scale():
    x = normal(B, 8, 8, 1)
    attend = Attend(Affine((3,), scale=0.5), estimators.identity().choose, ops.affine(8).apply)

    def run(attend: Attend):
        return attend(attend.prepare(x), normal(B, S), None, jnp.asarray(True))

    _, selection = jax.jit(lambda: attend.init_with_output(KEY, method=run)[0])()
    expected = np.broadcast_to(np.array([[0.5, 0, 0], [0, 0.5, 0]], np.float32), (B, 2, 3))
    np.testing.assert_array_equal(selection.where, expected)


@pytest.mark.parametrize("propose", [Location(), Affine()], ids=["location", "affine"])
def test_coordinates_are_proposed_in_float32_whatever_is_computed_in(propose: nn.Module):
    propose = propose.clone(hidden=(3,), dtype=jnp.bfloat16)
    s, memory = jnp.ones((B, S), jnp.bfloat16), Memory(jnp.ones((B, 8, 8, 1)))
    shape = jax.eval_shape(lambda: propose.init_with_output(KEY, memory, s)[0])
    assert shape.dtype == jnp.float32
