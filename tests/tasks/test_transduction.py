"""The objective over texts gives the exact gradient on average; alignments are held to spans."""

import itertools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from attn_jax import baselines
from attn_jax.estimators import categorical
from attn_jax.losses import cross_entropy
from attn_jax.models import Outputs, seq2seq
from attn_jax.modules import AdditiveScores, shifted
from attn_jax.ops import masked_log_softmax, weighted_sum
from attn_jax.tasks import Weights, misaligned, sequence_objective
from attn_jax.types import Selection

CODES = jnp.array([[3, 1, 2]])
TARGETS = jnp.array([[1, 0]])
PATHS = jnp.array(list(itertools.product(range(3), repeat=2)))  # of two choices among three


def chosen_by_hand(place: Array, scores: Array) -> Selection:
    """The choice of `place`, which is given instead of a key."""
    chosen = jax.nn.one_hot(place, 3)
    log_p = masked_log_softmax(scores)
    return Selection(chosen, jnp.exp(log_p), log_p[place], jnp.zeros(()))


@pytest.fixture(scope="module")
def model_and_variables() -> tuple:
    model = seq2seq(
        propose=AdditiveScores(4),
        estimator=categorical()._replace(choose=chosen_by_hand),
        read=weighted_sum(),
        vocabulary=4,
        num_tokens=3,
        num_steps=2,
        cells=(nn.GRUCell(5),),
        embedding=3,
        encoder_features=4,
    )
    variables = model.init(jax.random.key(1), CODES, PATHS[:1])

    def moved(a: Array) -> Array:
        return a + 0.3 * jnp.cos(jnp.arange(a.size)).reshape(a.shape)

    return model, jax.tree.map(moved, variables)  # no gradient is zero


def along(model: Any, variables: Any, path: Array) -> Outputs:
    """One rollout along a path, leaves [1, 1, 2, ...]."""
    outputs = model.apply(variables, CODES, path[None], shifted(TARGETS, 3))
    return jax.tree.map(lambda a: a[None], outputs)


@pytest.mark.parametrize("baseline", ["zero", "learned_value"])
def test_the_policy_gradient_is_unbiased(model_and_variables: tuple, baseline: str):
    model, variables = model_and_variables

    def expected(v: Any) -> Array:
        """E_l sum_t log p(y_t | l), every path counted."""
        total = jnp.zeros(())
        for path in PATHS:
            outputs = along(model, v, path)
            p = jnp.exp(outputs.trace.selection.log_prob.sum())
            total += p * -cross_entropy(outputs.logits[0, 0], TARGETS[0]).sum()
        return total

    def estimated(v: Any) -> Array:
        """What the objective gives along each path, as often as it is taken."""
        total = jnp.zeros(())
        for path in PATHS:
            outputs = along(model, v, path)
            p = jax.lax.stop_gradient(jnp.exp(outputs.trace.selection.log_prob.sum()))
            loss, _ = sequence_objective(
                outputs,
                TARGETS,
                estimator=categorical(),
                baseline=getattr(baselines, baseline)(),
                weights=Weights(value=0.0),
            )
            total += p * -loss
        return total

    exact, mean = (jax.jit(jax.grad(f))(variables) for f in (expected, estimated))
    attend = exact["params"]["unroll"]["step"]["step"]["attend"]
    assert all(np.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(attend))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), exact, mean)


def test_a_text_is_right_only_as_a_whole(model_and_variables: tuple):
    model, variables = model_and_variables
    outputs = along(model, variables, PATHS[0])
    decoded = outputs.logits[0].argmax(-1)

    def error(targets: Array) -> float:
        kinds = {"estimator": categorical(), "baseline": baselines.zero()}
        _, (figures, _) = sequence_objective(outputs, targets, **kinds)
        return float(figures["error"])

    assert error(decoded) == 0
    assert error(decoded.at[0, 1].set((decoded[0, 1] + 1) % 3)) == 1


def test_only_what_a_span_decides_is_judged():
    where = np.zeros((1, 4, 5))
    where[0, range(4), [0, 2, 3, 4]] = 1
    spans = np.array([[[0, 1], [0, 2], [3, 5], [0, 0]]])
    outside, counted = misaligned(where, spans)
    assert outside.tolist() == [[False, True, False, False]]
    assert counted.tolist() == [[True, True, True, False]]
