"""Every mechanism with every estimator that fits it, on every core: one contract for all."""

import functools
import itertools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import baselines, check_fit
from attn_jax.models import RecurrentClassifier
from attn_jax.modules import Attend, Classifier, Core, Flat, Step, Unroll, Value, rollout_keys
from attn_jax.tasks import objective, rollouts
from tests.filled import filled
from tests.members import CORES, ESTIMATORS, MECHANISMS, READS, WRAPPED, tag
from tests.xla import QUICK

B, T, M, C = 3, 2, 2, 4
KEY, IDS, LABELS = jax.random.key(0), jnp.arange(B), jnp.arange(B)
MEMBERS = ESTIMATORS | WRAPPED

CREDITED = {"categorical", "gaussian", "semi_sampling", "with_temperature"}
SAMPLING = CREDITED | {"gumbel_softmax", "straight_through", "straight_through_gumbel"}
SAMPLING |= {"pathwise_gaussian", "random_point"}
CONTROLS = {"uniform", "random_point", "fixed_point", "fixed_transform"}
WITHOUT_PARAMETERS = {"dot, items", "dot, places"}
# Which term's gradient reaches the proposal: of the answer, through the choice; of the credit.
THROUGH = set(MEMBERS) - CONTROLS - (CREDITED - {"semi_sampling"})

FITTING = [
    (mechanism, estimator)
    for mechanism, (_, read, _, _) in MECHANISMS.items()
    for estimator in MEMBERS
    if tag(MEMBERS[estimator]) == READS[read].takes
]


def few() -> list[tuple[str, str]]:
    """A few of the pairs, in which each mechanism and each estimator occurs."""
    met: set[str] = set()
    found = []
    for new in (2, 1):  # those that bring both come first
        for pair in FITTING:
            if len({*pair} - met) >= new:
                found.append(pair)
                met |= {*pair}
    return found


def triples() -> list:
    """The product with the cores; but for the few pairs with a core each, it is slow."""
    default = {(*pair, core) for pair, core in zip(few(), itertools.cycle(CORES), strict=False)}
    product = [(*pair, core) for pair, core in itertools.product(FITTING, CORES)]
    marks = [() if one in default else pytest.mark.slow for one in product]
    return [pytest.param(*one, marks=mark) for one, mark in zip(product, marks, strict=True)]


TRIPLES = triples()
every = pytest.mark.parametrize(("mechanism", "estimator", "core"), TRIPLES)


# The programs are small and short: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)


def model(mechanism: str, estimator: str, core: str, dtype: Any = None) -> RecurrentClassifier:
    propose, read, _, _ = MECHANISMS[mechanism]
    if dtype is not None and "dtype" in propose.__dataclass_fields__:
        propose = propose.clone(dtype=dtype)
    attend, cell = Attend(propose, MEMBERS[estimator], READS[read]), CORES[core].clone(dtype=dtype)
    step = Step(attend, Flat(5, dtype), Core((cell,)))
    return RecurrentClassifier(Unroll(step, T), Classifier(C, dtype=dtype), Value(dtype=dtype))


def images(mechanism: str) -> jax.Array:
    shape = MECHANISMS[mechanism][2]
    return jnp.asarray(np.random.default_rng(0).uniform(size=(B, *shape)), jnp.float32)


@functools.cache
def variables(mechanism: str, core: str) -> Any:
    """The same for every estimator: that they fit is part of the contract."""
    fitting = next(e for m, e in FITTING if m == mechanism)
    init = model(mechanism, fitting, core).init
    return filled(init, images(mechanism), rollout_keys(KEY, IDS, T), scale=0.6, seed=2)


def ran(mechanism: str, estimator: str, core: str, dtype: Any = None):
    """(key) -> outputs, and the gradients of the answer's loss and of the credit; one program."""
    x, made = images(mechanism), model(mechanism, estimator, core, dtype)

    @_jit
    def run(variables: Any, key: Any):
        def terms(variables: Any):
            outputs = rollouts(made, variables, x, key, IDS, M)
            options = {"estimator": MEMBERS[estimator], "baseline": baselines.zero()}
            # A reward that is never 0, so that credit is not.
            figures = objective(outputs, LABELS, reward=lambda o, y: 1.0 + y, **options)[1][0]
            return (figures["cross_entropy"], figures["policy"]), outputs

        gradients, outputs = jax.jacrev(terms, has_aux=True)(variables)
        return outputs, *gradients

    return functools.partial(run, variables(mechanism, core))


def largest(gradient: Any, *path: str) -> float:
    part = functools.reduce(lambda tree, name: tree.get(name, {}), path, gradient["params"])
    return max((float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(part)), default=0.0)


@every
def test_shapes_finiteness_keys_and_where_gradients_belong(mechanism, estimator, core):
    run = ran(mechanism, estimator, core)
    outputs, answer, policy = run(KEY)
    proposed = MECHANISMS[mechanism][3]
    selection = outputs.trace.selection
    assert outputs.logits.shape == (M, B, T, C)
    assert selection.where.shape == selection.mean.shape == (M, B, T, *proposed)
    assert selection.log_prob.shape == selection.entropy.shape == (M, B, T)
    chex.assert_tree_all_finite((outputs, answer, policy))

    chex.assert_trees_all_equal(outputs, run(KEY)[0])
    other = run(jax.random.key(1))[0].trace.selection.where
    assert (np.asarray(other) != np.asarray(selection.where)).any() == (estimator in SAMPLING)

    proposal = ("unroll", "step", "attend", "propose")
    if mechanism not in WITHOUT_PARAMETERS:
        assert (largest(answer, *proposal) > 0) == (estimator in THROUGH)
        assert (largest(policy, *proposal) > 0) == (estimator in CREDITED)
    assert largest(answer, "unroll", "step", "core") > 0
    assert largest(answer, "classify") > 0 == largest(policy, "classify")


def one_a_read() -> list:
    """The mechanisms; but for the first of each read they are slow."""
    met: set[str] = set()
    found = []
    for mechanism, (_, read, _, _) in MECHANISMS.items():
        found.append(pytest.param(mechanism, marks=pytest.mark.slow if read in met else ()))
        met.add(read)
    return found


def pairs() -> list:
    """The pairs; but for the few they are slow."""
    marks = [() if pair in few() else pytest.mark.slow for pair in FITTING]
    return [pytest.param(*pair, marks=mark) for pair, mark in zip(FITTING, marks, strict=True)]


@pytest.mark.parametrize(("mechanism", "estimator"), pairs())
def test_bfloat16_computes_finite_results_with_float32_coordinates_and_logits(mechanism, estimator):
    outputs, answer, policy = ran(mechanism, estimator, "tanh", jnp.bfloat16)(KEY)
    chex.assert_tree_all_finite((outputs, answer, policy))
    assert outputs.logits.dtype == outputs.trace.selection.where.dtype == jnp.float32


@pytest.mark.parametrize("mechanism", one_a_read())
def test_swapping_the_estimator_changes_no_parameter(mechanism: str):
    x, keys = images(mechanism), rollout_keys(KEY, IDS, T)
    fitting = [e for m, e in FITTING if m == mechanism]
    assert len(fitting) > 1
    first, *others = _jit(
        lambda: [model(mechanism, e, "tanh").init(KEY, x, keys) for e in fitting]
    )()
    for other in others:
        chex.assert_trees_all_equal(first, other)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_does_not_fit_is_refused_with_what_would(mechanism: str):
    read = MECHANISMS[mechanism][1]
    misfits = [e for e in MEMBERS if tag(MEMBERS[e]) != READS[read].takes]
    assert misfits
    for name in misfits:
        with pytest.raises(ValueError, match=f"the read takes '{READS[read].takes}'; reads that"):
            check_fit(MEMBERS[name], READS[read])


def test_every_member_and_every_core_occurs_by_default():
    met = [triple.values for triple in TRIPLES if not triple.marks]
    # What proposes these is the user's own yet; tests/contracts/test_members.py has them.
    taken = {READS[read].takes for _, read, _, _ in MECHANISMS.values()}
    unproposed = {name for name, one in MEMBERS.items() if tag(one) not in taken}
    for which, members in enumerate((MECHANISMS, MEMBERS, CORES)):
        assert {one[which] for one in met} == set(members) - unproposed
