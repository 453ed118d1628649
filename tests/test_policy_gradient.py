"""The policy gradient is the gradient: exact, by enumeration of every trajectory."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from attn_jax import baselines, estimators, ops
from attn_jax.models import RecurrentClassifier
from attn_jax.modules import (
    AdditiveScores,
    Attend,
    Classifier,
    Core,
    Flat,
    StateScores,
    Step,
    Unroll,
    Value,
    rollout_keys,
)
from attn_jax.tasks import objective
from attn_jax.types import Estimator, Selection
from tests.filled import filled

L, T, D, C = 3, 2, 4, 3
TRAJECTORIES = np.array(list(itertools.product(range(L), repeat=T)))  # [9, 2]
TABLE = np.random.default_rng(3).normal(size=L**T)  # an arbitrary reward of both choices
HARD = estimators.categorical()
PROPOSALS = {"additive": AdditiveScores(4), "state": StateScores((L,))}


def given(index: jax.Array, scores: jax.Array) -> Selection:
    """The choice of the item `index`, in place of a random one: its key is the index."""
    log_alpha = jax.nn.log_softmax(scores)
    one_hot = jax.nn.one_hot(index, L, dtype=scores.dtype)
    entropy = -(jnp.exp(log_alpha) * log_alpha).sum()
    return Selection(one_hot, jnp.exp(log_alpha), log_alpha[index], entropy)


def make(propose: nn.Module, estimator: Estimator) -> RecurrentClassifier:
    cell = nn.SimpleCell(4, param_dtype=jnp.float64)  # else its carry would be float32
    step = Step(Attend(propose, estimator, ops.weighted_sum()), Flat(), Core((cell,)))
    return RecurrentClassifier(Unroll(step, T), Classifier(C), Value())


@functools.cache
def problem(name: str):
    """(model, variables, x, outputs): `outputs` gives all nine trajectories of one input."""
    propose = PROPOSALS[name]
    model = make(propose, HARD._replace(choose=given))
    x = np.random.default_rng(1).normal(size=(1, L, D))
    x = jnp.broadcast_to(jnp.asarray(x), (len(TRAJECTORIES), L, D))
    variables = filled(model.init, x, jnp.asarray(TRAJECTORIES), scale=1.0, seed=1)
    variables = jax.tree.map(lambda a: a.astype(jnp.float64), variables)
    return model, variables, x, lambda v: model.apply(v, x, jnp.asarray(TRAJECTORIES))


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def log_p(outputs) -> jax.Array:
    return outputs.trace.selection.log_prob.sum(-1)


def reward(outputs) -> jax.Array:
    """[9], of both choices and of the class read off the last state."""
    right = outputs.logits[:, -1].argmax(-1) == 1
    return jnp.asarray(TABLE) + 2.0 * right


def exact(outputs) -> jax.Array:
    """E[R]."""
    return (jnp.exp(log_p(outputs)) * reward(outputs)).sum()


def expected_surrogate(outputs, baseline, state, value) -> jax.Array:
    """sum of p(trajectories) times their credit, p held constant."""
    p = jax.lax.stop_gradient(jnp.exp(log_p(outputs)))
    n = len(p)
    two = baseline is baselines.leave_one_out
    index = np.array(list(itertools.product(range(n), repeat=2 if two else 1))).T  # [M, N]
    selection = jax.tree.map(lambda a: a[index], outputs.trace.selection)
    rewards = jnp.broadcast_to(reward(outputs)[index][..., None], (*index.shape, T))
    chosen = baseline()
    compared, _, _ = chosen.apply(state, rewards, value(outputs)[index], None)
    credit = HARD.credit(selection, rewards, compared)  # [M, N, T]
    return (p[index].prod(0) * credit.sum(-1).mean(0)).sum()


def head(s: jax.Array) -> jax.Array:
    """Some value of a state, [..., S] -> [...]."""
    return 3.0 * jnp.sin(s @ jnp.arange(1.0, 5.0))


def policy_term(outputs) -> jax.Array:
    """What `tasks.objective` makes of each trajectory, in expectation."""

    def of_one(one):
        one = jax.tree.map(lambda a: a[None, None], one)  # M = B = 1
        options = {"estimator": HARD, "baseline": baselines.learned_value()}
        return objective(one, jnp.array([1]), **options)[1][0]["policy"]

    p = jax.lax.stop_gradient(jnp.exp(log_p(outputs)))
    return (p * jax.vmap(of_one)(outputs)).sum()


def accuracy(outputs) -> jax.Array:
    """The probability that the class read off the last state is right."""
    return (jnp.exp(log_p(outputs)) * (outputs.logits[:, -1].argmax(-1) == 1)).sum()


def before(outputs) -> jax.Array:
    return head(outputs.trace.before)


def after(outputs) -> jax.Array:
    return head(outputs.trace.state)


STATES = {
    "zero": (baselines.zero, ()),
    "moving_average": (baselines.moving_average, np.float64(0.37)),
    "learned_value": (baselines.learned_value, ()),
    "leave_one_out": (baselines.leave_one_out, ()),
}
TERMS = {
    "exact": exact,
    "accuracy": accuracy,
    "policy": policy_term,
    "after": lambda o: expected_surrogate(o, baselines.learned_value, (), after),
    **{
        name: lambda o, b=b, state=state: expected_surrogate(o, b, state, before)
        for name, (b, state) in STATES.items()
    },
}


@functools.cache
def gradients(name: str) -> dict[str, np.ndarray]:
    """The gradient of each term by every parameter, in one vector; compiled once for all."""
    _, variables, _, outputs = problem(name)
    flat, unravel = ravel_pytree(variables)

    def terms(flat: jax.Array) -> dict[str, jax.Array]:
        out = outputs(unravel(flat))
        return {name: of(out) for name, of in TERMS.items()}

    return jax.tree.map(np.asarray, jax.jit(jax.jacrev(terms))(flat))


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("baseline", STATES)
@pytest.mark.parametrize("name", PROPOSALS)
def test_the_expected_surrogate_gradient_is_the_exact_gradient(name: str, baseline: str):
    true = gradients(name)["exact"]
    assert np.linalg.norm(true) > 0.05
    assert relative_error(gradients(name)[baseline], true) < 1e-9


@pytest.mark.parametrize("name", PROPOSALS)
def test_a_baseline_of_the_state_after_the_choice_is_biased(name: str):
    assert relative_error(gradients(name)["after"], gradients(name)["exact"]) > 0.05


@pytest.mark.parametrize("name", PROPOSALS)
def test_the_objectives_policy_term_is_the_exact_gradient_of_the_accuracy(name: str):
    true = gradients(name)["accuracy"]
    assert np.linalg.norm(true) > 0.05
    assert relative_error(-gradients(name)["policy"], true) < 1e-6


@pytest.mark.parametrize("name", PROPOSALS)
def test_the_probabilities_of_all_trajectories_sum_to_one(name: str):
    _, variables, _, outputs = problem(name)
    out = jax.jit(outputs)(variables)
    np.testing.assert_allclose(jnp.exp(log_p(out)).sum(), 1.0, rtol=1e-12)
    assert 0 < (out.logits[:, -1].argmax(-1) == 1).sum() < len(TRAJECTORIES)  # a reward that varies


def test_the_librarys_own_choice_has_the_probability_of_the_enumerated_one():
    model, variables, x, _ = problem("additive")
    sampling = make(PROPOSALS["additive"], HARD)
    keys = rollout_keys(jax.random.key(0), jnp.arange(len(x)), T)
    sampled = jax.jit(sampling.apply)(variables, x, keys)
    chosen = sampled.trace.selection.where.argmax(-1)
    assert len(np.unique(chosen, axis=0)) > 3
    enumerated = jax.jit(model.apply)(variables, x, chosen)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), sampled, enumerated)


def test_the_models_value_at_t_has_seen_earlier_choices_but_not_the_choice_at_t():
    _, variables, _, outputs = problem("additive")
    value = np.asarray(jax.jit(outputs)(variables).value).reshape(L, L, T)
    assert np.ptp(value[:, :, 0]) == 0  # nothing was chosen before
    assert (np.ptp(value[:, :, 1], axis=1) == 0).all()
    assert np.ptp(value[:, 0, 1]) > 0.01


@pytest.mark.parametrize("compared", [0.0, 0.4])
def test_gaussian_samples_average_to_the_integrated_gradient(compared: float):
    mu, sigma, target = jnp.array([0.2, -0.3]), 0.4, np.array([0.5, 0.1])

    def reward(at):
        return jnp.exp(-((at - target) ** 2).sum(-1)) + 0.5 * (at[..., 0] > 0.3)

    @jax.jit
    def samples():
        estimator = estimators.gaussian(sigma)

        def surrogate(mu, key):
            chosen = estimator.choose(key, mu)
            return estimator.credit(chosen, reward(chosen.where), jnp.asarray(compared))

        keys = jax.random.split(jax.random.key(0), 40_000)
        return jax.vmap(jax.grad(surrogate), (None, 0))(mu, keys)

    gradients = np.asarray(samples())
    axes = [np.linspace(m - 8 * sigma, m + 8 * sigma, 2001) for m in np.asarray(mu)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    z = (at - np.asarray(mu)) / sigma
    p = np.exp(-0.5 * (z**2).sum(-1))
    integrated = ((p / p.sum() * np.asarray(reward(at)))[..., None] * z / sigma).sum((0, 1))
    error = gradients.std(0) / np.sqrt(len(gradients))
    assert (np.abs(gradients.mean(0) - integrated) < 4 * error).all()
    assert (np.abs(integrated) > 20 * error).all()  # enough samples to tell a wrong gradient
