"""Attention over a batch: masks hold, keys belong to examples, estimators own no parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import estimators, ops
from attn_jax.modules import (
    AdditiveScores,
    Affine,
    Attend,
    Core,
    DotScores,
    Flat,
    JointScores,
    Location,
    Memory,
    Step,
    Unroll,
    rollout_keys,
)
from tests.filled import filled
from tests.members import ESTIMATORS, MECHANISMS, READS, S

B, L, D = 4, 5, 3
KEY = jax.random.key(7)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def attended(propose: nn.Module, estimator, read, x, mask=None):
    """(glimpse, selection) of one step, at a random state."""
    attend, s = Attend(propose, estimator, read), normal(B, S, seed=1)

    def run(attend: Attend):
        keys = rollout_keys(KEY, jnp.arange(B), 1)[:, 0]
        return attend(attend.prepare(x, mask), s, keys, jnp.asarray(True))

    variables = filled(lambda key: attend.init(key, method=run))
    return jax.jit(lambda: attend.apply(variables, method=run))()


SCORES = {name: one for name, one in MECHANISMS.items() if one[1] in ("weighted_sum", "mask")}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("estimator", ["expectation", "categorical"])
def test_what_is_masked_is_never_looked_at(name: str, estimator: str):
    propose, read, shape, proposed = SCORES[name]
    mechanism = propose, ESTIMATORS[estimator], READS[read]
    x = normal(B, *shape)
    mask = jnp.arange(B * np.prod(proposed)).reshape(B, *proposed) % 3 > 0
    mask = mask.at[0].set(False)  # nothing to look at in the first example
    glimpse, selection = attended(*mechanism, x, mask)

    assert not selection.where[~mask].any()
    total = selection.where.reshape(B, -1).sum(1)
    np.testing.assert_allclose(total, [0.0] + [1.0] * (B - 1), atol=1e-6)
    assert not glimpse[0].any()
    assert jnp.isfinite(selection.log_prob).all()

    if name.startswith("joint"):  # there the scalars are one input, seen as a whole
        return
    hidden = x + 100.0 * ~mask[(..., *(None,) * (x.ndim - mask.ndim))]  # does not matter
    again, same = attended(*mechanism, hidden, mask)
    np.testing.assert_array_equal(glimpse, again)
    np.testing.assert_array_equal(selection.mean, same.mean)


@pytest.mark.parametrize("name", ["additive, places", "state, places"])
def test_a_mask_of_everything_is_no_mask(name: str):
    propose, _, shape, proposed = SCORES[name]
    x, mechanism = normal(B, *shape), (propose, estimators.expectation(), ops.mask())
    bare = attended(*mechanism, x)
    masked = attended(*mechanism, x, jnp.ones((B, *proposed), bool))
    jax.tree.map(np.testing.assert_array_equal, bare, masked)


def proposed(module: nn.Module, x: jax.Array, s: jax.Array):
    """What a proposal makes of x and s, and its parameters."""

    def run(attend: Attend):
        return attend.propose(attend.prepare(x), s)

    attend = Attend(module, estimators.expectation(), ops.weighted_sum())
    variables = filled(lambda key: attend.init(key, method=run))
    parameters = variables.get("params", {}).get("propose", {})
    return attend.apply(variables, method=run), jax.tree.map(np.asarray, parameters)


def additive(p, x, s):
    keys = x @ p["annotations"]["kernel"] + p["annotations"]["bias"]
    return np.tanh(keys + (s @ p["query"]["kernel"])[:, None]) @ p["v"]


def scaled(p, x, s):
    keys, query = x @ p["annotations"]["kernel"], s @ p["query"]["kernel"]
    return np.einsum("bla,ba->bl", keys, query) / np.sqrt(query.shape[-1])


def joint(p, x, s):
    both = np.concatenate([x, s], -1)
    h = np.tanh(both @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
    return h @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]


BY_HAND = {
    "additive, items": additive,
    "dot, items": lambda p, x, s: np.einsum("bld,bd->bl", x, s),
    "bilinear, items": lambda p, x, s: np.einsum(
        "bld,sd,bs->bl", x, p["Dense_0"]["kernel"], s
    ),
    "scaled dot, places": lambda p, x, s: scaled(p, x.reshape(B, -1, S), s).reshape(B, 2, 3),
    "state, items": lambda p, x, s: s @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"],
    "joint, scalars": joint,
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_scores_equal_numpy(name: str):
    module, _, shape, _ = MECHANISMS[name]
    x, s = normal(B, *shape), normal(B, S, seed=1)
    scores, parameters = proposed(module, x, s)
    expected = BY_HAND[name](parameters, np.asarray(x), np.asarray(s))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("shape", [(B + 1, 5), (5,), (B, 4)])
@pytest.mark.parametrize("name", SCORES)
def test_a_mask_of_another_shape_is_refused(name: str, shape: tuple):
    propose, read, x_shape, _ = MECHANISMS[name]
    x, mask = jnp.ones((B, *x_shape)), jnp.ones(shape, bool)
    with pytest.raises(ValueError, match=r"\Amask must have the shape of the scores, .*; got"):
        attended(propose, ESTIMATORS["expectation"], READS[read], x, mask)


@pytest.mark.parametrize("sigma", [0.0, -0.2])
def test_a_learned_sigma_starts_above_0(sigma: float):
    with pytest.raises(ValueError, match=f"sigma must be positive; got {sigma:g}"):
        Location(sigma=sigma).init(KEY, Memory(jnp.ones((B, 1))), jnp.ones((B, S)))


def test_a_learned_sigma_starts_where_it_is_told_and_moves():
    x, s = normal(B, 8, 8, 1), normal(B, S, seed=1)
    start = Location((3,), sigma=0.2).init_with_output(KEY, Memory(x), s)[0]
    np.testing.assert_allclose(start[1], np.full((B, 2), 0.2), rtol=1e-6)
    (mu, sigma), _ = proposed(Location((3,), sigma=0.2), x, s)
    assert mu.shape == sigma.shape == (B, 2)
    assert (sigma > 0).all() and np.ptp(sigma) > 1e-3


@pytest.mark.usefixtures("bad_input")
def test_items_and_states_of_different_widths_have_no_dot_product():
    with pytest.raises(ValueError, match="keys and query must be of one width; got 3 and 6"):
        proposed(DotScores(), normal(B, L, D), normal(B, S))


def test_joint_scores_of_vectors_are_refused():
    message = r"JointScores takes scalar items \[B, D\]; got shape \(4, 5, 3\)"
    with pytest.raises(ValueError, match=message):
        proposed(JointScores(4), normal(B, L, D), normal(B, S))


@pytest.mark.parametrize("name", ["expectation", "sparsemax", "categorical", "gumbel_softmax"])
def test_an_empty_list_of_items_is_refused(name: str):
    with pytest.raises(ValueError, match=r"scores must have at least one place; got shape \(0,\)"):
        attended(AdditiveScores(4), ESTIMATORS[name], ops.weighted_sum(), normal(B, 0, D))


@pytest.mark.parametrize(
    ("estimator", "read", "start"),
    [("categorical", "crop", None), ("gaussian", "crop", "uniform"), ("gaussian", "affine", None)],
)
def test_an_estimator_or_a_start_that_does_not_fit_the_read_is_refused(estimator, read, start):
    mechanism = ESTIMATORS[estimator], READS[read], start and ESTIMATORS[start]
    with pytest.raises(ValueError, match=r"\Athe estimator gives '\w+', but the read takes '\w+'"):
        Attend(Location(), *mechanism)


LOOK = Unroll(
    Step(
        Attend(Location(), estimators.gaussian(0.3), ops.crop(3)),
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


def test_affine_starts_as_the_identity_at_its_scale():
    x = normal(B, 8, 8, 1)
    attend = Attend(Affine((3,), scale=0.5), estimators.identity(), ops.affine(8))

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
