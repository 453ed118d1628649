"""The objective is what its docstring writes down, computed again in plain numpy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import baselines, estimators
from attn_jax.models import Outputs
from attn_jax.modules import rollout_keys
from attn_jax.tasks import (
    REWARDS,
    Weights,
    is_right,
    log_likelihood,
    objective,
    probabilities,
    rollouts,
)
from attn_jax.types import Selection, Trace

M, B, T, C = 2, 3, 2, 4
LABELS = np.array([1, 3, 0])


def arrays(seed: int = 0) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(M, B, T, C))
    logits[0, 0, -1, 1] = logits[1, 0, -1, 1] = logits[1, 2, -1, 0] = 5.0  # some are right
    logits[0, 1, -1, 3] = logits[0, 2, -1, 0] = logits[1, 1, -1, 3] = -5.0
    value, log_prob = rng.normal(size=(M, B, T)), -rng.uniform(size=(M, B, T))
    return SimpleNamespace(
        logits=logits, value=value, log_prob=log_prob, entropy=rng.uniform(size=(M, B, T))
    )


def outputs_of(a: SimpleNamespace) -> Outputs:
    a = SimpleNamespace(**{k: jnp.asarray(v, jnp.float32) for k, v in vars(a).items()})
    where = jnp.zeros((M, B, T, 2))
    state = jnp.zeros((M, B, T, 5))
    selection = Selection(where, where, a.log_prob, a.entropy)
    return Outputs(a.logits, a.value, Trace(state, state, state, selection))


def by_hand(a: SimpleNamespace, baseline: str, weights: Weights, state: float) -> dict[str, float]:
    cross_entropy = policy = value = entropy = right = 0.0
    rewards = np.array(
        [[float(a.logits[m, i, -1].argmax() == LABELS[i]) for i in range(B)] for m in range(M)]
    )
    for m in range(M):
        for i in range(B):
            p = np.exp(a.logits[m, i, -1]) / np.exp(a.logits[m, i, -1]).sum()
            cross_entropy -= np.log(p[LABELS[i]])
            right += rewards[m, i]
            for t in range(T):
                b = {
                    "zero": 0.0,
                    "moving_average": state,
                    "learned_value": a.value[m, i, t],
                    "leave_one_out": rewards[1 - m, i],
                }[baseline]
                policy -= (rewards[m, i] - b) * a.log_prob[m, i, t]
                if baseline == "learned_value":
                    value += (rewards[m, i] - b) ** 2 / T
                entropy -= a.entropy[m, i, t] / T
    terms = {
        "cross_entropy": cross_entropy / (M * B),
        "policy": weights.policy * policy / (M * B),
        "value": weights.value * value / (M * B),
        "entropy": weights.entropy * entropy / (M * B),
    }
    return {"loss": sum(terms.values()), "error": 1 - right / (M * B), **terms}


@pytest.mark.parametrize("weights", [Weights(), Weights(0.5, 0.25, 0.125), Weights(0.0, 0.0, 2.0)])
@pytest.mark.parametrize("baseline", ["zero", "moving_average", "learned_value", "leave_one_out"])
def test_objective_equals_numpy(baseline: str, weights: Weights):
    a = arrays()
    state = np.float32(0.3) if baseline == "moving_average" else ()
    loss, (figures, new_state) = objective(
        outputs_of(a),
        jnp.asarray(LABELS),
        estimator=estimators.categorical(),
        baseline=getattr(baselines, baseline)(),
        baseline_state=state,
        weights=weights,
    )
    expected = by_hand(a, baseline, weights, 0.3)
    assert figures.keys() == expected.keys()
    for name, figure in expected.items():
        np.testing.assert_allclose(figures[name], figure, rtol=1e-5, err_msg=name)
    assert float(loss) == float(figures["loss"])
    if baseline == "moving_average":
        mean = 1 - expected["error"]
        np.testing.assert_allclose(new_state, 0.9 * 0.3 + 0.1 * mean, rtol=1e-6)
    assert 0 < expected["error"] < 1  # a reward that varies


def test_a_self_critical_reward_is_compared_with_the_greedy_rollouts():
    a = arrays()
    right = np.zeros((1, B, T, C))
    right[0, :, -1, 1] = 1.0  # the greedy rollout says 1, which is right for the first alone
    greedy = jax.tree.map(lambda leaf: leaf[:1], outputs_of(a))
    _, (figures, _) = objective(
        outputs_of(a),
        jnp.asarray(LABELS),
        estimator=estimators.categorical(),
        baseline=baselines.self_critical(),
        greedy=greedy._replace(logits=jnp.asarray(right, jnp.float32)),
    )
    rewards = (a.logits[:, :, -1].argmax(-1) == LABELS).astype(float)
    advantage = rewards - np.array([1.0, 0.0, 0.0])
    expected = -(advantage[..., None] * a.log_prob).sum(-1).mean()
    np.testing.assert_allclose(figures["policy"], expected, rtol=1e-5)
    assert figures["value"] == 0


@pytest.mark.parametrize("soft", ["expectation", "identity", "uniform", "fixed_point"])
def test_what_needs_no_credit_gets_none(soft: str):
    estimator, baseline = getattr(estimators, soft)(), baselines.learned_value()
    _, (figures, _) = objective(
        outputs_of(arrays()), jnp.asarray(LABELS), estimator=estimator, baseline=baseline
    )
    assert figures["policy"] == 0


class Sure:
    """A model whose logits are of its keys: rollouts that differ, and are surely of a class."""

    unroll = SimpleNamespace(num_steps=T)

    def apply(self, variables, x, keys=None, *rest, method: str):
        if method == "prepare":
            return x
        logits = 4 * jax.vmap(jax.vmap(lambda key: jax.random.normal(key, (C,))))(keys)
        return Outputs(logits * x[:, None], None, None)


def test_probabilities_averages_probabilities_not_logits():
    x, key, ids, count = jnp.ones((B, 1)), jax.random.key(0), jnp.arange(B), 5
    logits = np.asarray(rollouts(Sure(), {}, x, key, ids, count).logits, np.float64)
    exponents = np.exp(logits)
    expected = (exponents / exponents.sum(-1, keepdims=True)).mean(0)
    got = probabilities(Sure(), {}, x, key, ids, count)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(got.sum(-1), np.ones((B, T)), rtol=1e-6)
    of_mean = np.exp(logits.mean(0)) / np.exp(logits.mean(0)).sum(-1, keepdims=True)
    assert np.abs(of_mean - expected).max() > 0.1


def test_the_keys_of_rollout_m_are_those_folded_from_m():
    x, key, ids = jnp.ones((B, 1)), jax.random.key(0), jnp.array([7, 3, 9])
    logits = rollouts(Sure(), {}, x, key, ids, 3).logits
    for m in range(3):
        alone = Sure().apply({}, x, rollout_keys(key, ids, T, m), method="rollout").logits
        np.testing.assert_array_equal(logits[m], alone)


EXPECTED_REWARDS = {
    "right": [1.0, 0.0],
    "probability": [0.75, 0.25],
    "log_likelihood": [np.log(0.75), np.log(0.25)],
}


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_of_the_answer(name):
    logits = jnp.log(jnp.array([[0.75, 0.25], [0.75, 0.25]]))
    rewards = REWARDS[name](logits, jnp.array([0, 1]))
    np.testing.assert_allclose(rewards, EXPECTED_REWARDS[name], rtol=1e-6)


def test_a_reward_is_constant_to_the_gradient():
    """However the reward is made of the logits, only the cross-entropy reaches them."""

    def gradient(reward):
        a = arrays()

        def loss(logits):
            outputs = outputs_of(a)._replace(logits=logits)
            options = {"estimator": estimators.categorical(), "baseline": baselines.zero()}
            return objective(outputs, jnp.asarray(LABELS), reward=reward, **options)[0]

        return jax.grad(loss)(jnp.asarray(a.logits, jnp.float32))

    np.testing.assert_array_equal(gradient(log_likelihood), gradient(is_right))
