"""Every estimator with every read: the tags say what fits, what fits runs, the rest is refused."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import check_fit, estimators, ops
from attn_jax.types import ESTIMATORS_BY_TAG, READS_BY_TAG, Estimator, Read
from tests import members
from tests.members import ESTIMATORS, READS, WRAPPED

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


def test_the_tables_of_this_file_are_the_members_of_the_code():
    members = {name.split("(")[0] for name in ESTIMATORS}  # identity gives one tag of several
    assert makers(estimators, Estimator) == members | set(WRAPPED)
    assert makers(ops, Read) == set(READS)


def test_every_read_is_public():
    assert set(READS) <= set(ops.__all__)


@pytest.mark.parametrize(
    ("by_tag", "found"),
    [
        (ESTIMATORS_BY_TAG, {name: tag(name) for name in ESTIMATORS}),
        (READS_BY_TAG, {name: read.takes for name, read in READS.items()}),
    ],
    ids=["estimators", "reads"],
)
def test_the_lists_in_messages_are_the_tags_in_the_code(by_tag, found):
    listed = [(name, tag) for tag, names in by_tag.items() for name in names]
    assert sorted(listed) == sorted(found.items())


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
