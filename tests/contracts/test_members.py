"""Every estimator with every read: the tags say what fits, what fits runs, the rest is refused."""

import inspect
import itertools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import baselines, check_fit, estimators, ops
from attn_jax.estimators import MEMBERS
from attn_jax.fit import estimators_that_give, reads_that_take
from attn_jax.modules import SCORES, JointScores, full_view
from attn_jax.types import Baseline, Estimator, Read, Tag
from tests import members
from tests.members import ESTIMATORS, MECHANISMS, READS, SPREADS, WRAPPED

BATCH, IMAGE = 2, (5, 6, 3)
PROPOSALS = {
    "weights": IMAGE[:2],
    "point": (2,),
    "theta": (2, 3),
    "homography": (3, 3),
    "control_points": (4, 2),
    "gaussian_grid": (5,),
}

PAIRS = list(itertools.product(ESTIMATORS, READS))


def tag(estimator):
    return members.tag(ESTIMATORS[estimator])


def fits(estimator, read):
    return tag(estimator) == READS[read].takes


def makers(module, kind):
    """The public functions of a room that say they return an `Estimator` or a `Read`."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        name
        for name, function in functions
        if function.__module__.startswith(module.__name__)
        and not name.startswith("_")
        and inspect.signature(function).return_annotation is kind
    }


def test_the_tables_hold_every_constructor_of_their_rooms():
    assert makers(estimators, Estimator) == set(MEMBERS) | set(WRAPPED)
    assert makers(ops, Read) == set(ops.READS)
    assert makers(baselines, Baseline) == set(baselines.BASELINES)
    assert set(ops.READS) <= set(ops.__all__)
    assert set(MEMBERS) <= set(estimators.__all__)


def test_every_proposal_of_scores_has_a_name():
    """But for `JointScores`, whose items are scalars."""
    named = {type(make(4, full_view, None, (5,))) for make in SCORES.values()}
    ours = {type(propose) for propose, read, *_ in MECHANISMS.values() if fits("uniform", read)}
    assert named == ours - {JointScores}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_members_row_says_what_its_constructor_gives(name):
    member = MEMBERS[name]
    assert member.make(SPREADS[member.spread]).gives == member.gives


@pytest.mark.parametrize("name", ops.READS)
def test_a_reads_row_says_what_its_constructor_takes(name):
    assert ops.READS[name].make is getattr(ops, name)
    assert READS[name].takes == ops.READS[name].takes


def chosen(name, spread):
    """One choice of a member, and the gradient of its leaves' sum by the proposal."""
    estimator = MEMBERS[name].make(spread)
    shape = PROPOSALS[members.tag(estimator)]
    proposal = jnp.linspace(-1.0, 1.0, int(np.prod(shape))).reshape(shape)

    def total(proposal):
        selection = estimator.choose(jax.random.key(0), proposal)
        return sum((leaf**2).sum() for leaf in selection), selection

    gradient, selection = jax.grad(total, has_aux=True)(proposal)
    return *selection, gradient


@pytest.mark.parametrize("name", MEMBERS)
def test_the_spread_of_a_row_acts_and_of_the_others_is_ignored(name):
    spread = MEMBERS[name].spread
    acts = not all(map(np.array_equal, chosen(name, 0.3), chosen(name, 0.6)))
    assert acts == (spread is not None)
    if spread is None:
        chosen(name, None)
    else:
        with pytest.raises(ValueError, match=f"^{spread} must be positive; got -1$"):
            MEMBERS[name].make(-1.0)


@pytest.mark.parametrize("name", [name for name, member in MEMBERS.items() if member.spread])
def test_a_spread_may_be_traced(name):
    shape = PROPOSALS[tag(name)]

    def where(spread):
        return MEMBERS[name].make(spread).choose(jax.random.key(0), jnp.zeros(shape)).where

    expected = where(0.4)
    np.testing.assert_allclose(jax.jit(where)(0.4), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("name", MEMBERS)
def test_a_learnable_row_without_a_spread_takes_a_mean_and_a_sigma_and_no_other_does(name):
    proposal = jnp.zeros(2), jnp.ones(2)

    def sigma_of():
        chosen = MEMBERS[name].make(None).choose(jax.random.key(0), proposal)
        return chosen.where.shape == (2,) and float(chosen.log_prob) < 0

    if MEMBERS[name].learnable:
        assert MEMBERS[name].spread == "sigma"
        assert sigma_of()
    elif MEMBERS[name].spread is not None:
        with pytest.raises((TypeError, ValueError)):
            sigma_of()


def test_controls_fit_the_reads_of_their_tag():
    for taken, controls in estimators.CONTROLS.items():
        for control in controls.values():
            assert members.tag(control) == taken


def test_the_lists_in_messages_name_every_member_under_its_own_tag():
    listed = [(name, tag) for tag in get_args(Tag) for name in estimators_that_give(tag)]
    assert sorted(listed) == sorted((name, tag(name)) for name in ESTIMATORS)
    listed = [(name, tag) for tag in get_args(Tag) for name in reads_that_take(tag)]
    assert sorted(listed) == sorted((name, read.takes) for name, read in READS.items())


def run(estimator, read):
    """Glimpses of a batch, and the gradient of their sum to images and proposals, in one jit."""
    choose, apply = ESTIMATORS[estimator].choose, READS[read].apply

    def total(x, proposals, keys):
        chosen = jax.vmap(choose)(keys, proposals)
        glimpses = jax.vmap(apply)(x, chosen.where)
        return glimpses.sum(), (glimpses, chosen)

    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(size=(BATCH, *IMAGE)), jnp.float32)
    shape = PROPOSALS[tag(estimator)]
    around = np.eye(3) if shape == (3, 3) else 0.0  # of any homography, most is outside
    proposals = jnp.asarray(around + rng.uniform(-1, 1, size=(BATCH, *shape)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), BATCH)
    return jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(x, proposals, keys)


@pytest.mark.parametrize(("estimator", "read"), [pair for pair in PAIRS if fits(*pair)])
def test_what_fits_runs_batched_under_jit_with_finite_results(estimator, read):
    check_fit(ESTIMATORS[estimator], READS[read])
    (_, (glimpses, chosen)), gradients = run(estimator, read)
    assert glimpses.shape[0] == BATCH
    assert glimpses.shape[-1] == IMAGE[-1]
    assert np.std(glimpses) > 0
    assert chosen.log_prob.shape == chosen.entropy.shape == (BATCH,)
    assert jax.tree.map(jnp.shape, chosen.mean) == jax.tree.map(jnp.shape, chosen.where)
    for leaf in jax.tree.leaves((chosen, glimpses, gradients)):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize(("estimator", "read"), [pair for pair in PAIRS if not fits(*pair)])
def test_what_does_not_fit_is_refused_with_what_would(estimator, read):
    given, taken = ESTIMATORS[estimator].gives, READS[read].takes
    with pytest.raises(ValueError, match="the estimator gives") as error:
        check_fit(ESTIMATORS[estimator], READS[read])
    message = str(error.value)
    assert f"gives {given!r}" in message
    assert f"takes {taken!r}" in message
    would = [name for name in READS if fits(estimator, name)]
    would += [name for name in ESTIMATORS if fits(name, read)]
    for name in would:
        assert name in message


def test_both_kinds_of_pair_occur_for_every_member():
    for name in ESTIMATORS:
        assert {fits(name, read) for read in READS} == {True, False}
    for read in READS:
        assert {fits(name, read) for name in ESTIMATORS} == {True, False}


def test_an_unknown_tag_is_refused():
    odd = estimators.identity()._replace(gives="smell")
    with pytest.raises(ValueError, match=r"gives must be one of \[.*'weights'\]; got 'smell'"):
        check_fit(odd, READS["affine"])
