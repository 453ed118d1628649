"""A closed loop decodes the same when its own tokens are given to it as targets."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from attn_jax.estimators import expectation
from attn_jax.models import Outputs, seq2seq
from attn_jax.modules import AdditiveScores, TextEncoder, shifted
from attn_jax.ops import weighted_sum

TOKENS, STEPS = 5, 4
CODES = jnp.array([[3, 1, 2, 4, 0, 0], [2, 2, 5, 1, 3, 4]])


@pytest.fixture(scope="module")
def model_and_variables() -> tuple:
    model = seq2seq(
        propose=AdditiveScores(4),
        estimator=expectation(),
        read=weighted_sum(),
        vocabulary=6,
        num_tokens=TOKENS,
        num_steps=STEPS,
        cells=(nn.GRUCell(8),),
        embedding=3,
        encoder_features=4,
    )
    variables = model.init(jax.random.key(0), CODES)
    return model, jax.tree.map(lambda a: 2 * a, variables)  # apart from one another


def decoded_tokens(outputs: Outputs) -> Array:
    return outputs.logits.argmax(-1)


def test_each_decoded_token_is_the_next_input(model_and_variables: tuple):
    model, variables = model_and_variables
    free = jax.jit(model.apply)(variables, CODES)
    assert free.logits.shape == (2, STEPS, TOKENS)
    inputs = shifted(decoded_tokens(free), TOKENS)
    teacher_forced = jax.jit(model.apply)(variables, CODES, None, inputs)
    np.testing.assert_allclose(teacher_forced.logits, free.logits, rtol=1e-5, atol=1e-6)


def test_a_given_token_is_the_next_input(model_and_variables: tuple):
    model, variables = model_and_variables
    tokens = decoded_tokens(jax.jit(model.apply)(variables, CODES))
    changed = tokens.at[:, 1].set((tokens[:, 1] + 1) % TOKENS)
    one, other = (
        jax.jit(model.apply)(variables, CODES, None, shifted(given, TOKENS)).logits
        for given in (tokens, changed)
    )
    np.testing.assert_array_equal(one[:, :2], other[:, :2])  # before it is an input
    assert (jnp.abs(one[:, 2] - other[:, 2]).max(-1) > 1e-4).all()


def test_the_start_is_a_token_of_its_own():
    assert shifted(jnp.array([[1, 2, 3]]), TOKENS).tolist() == [[TOKENS, 1, 2]]


def test_padding_changes_nothing(model_and_variables: tuple):
    model, variables = model_and_variables
    short = jax.jit(model.apply)(variables, CODES[:1, :4])
    padded = jax.jit(model.apply)(variables, CODES[:1])
    weights = padded.trace.selection.where
    assert (weights[..., 4:] == 0).all()
    np.testing.assert_allclose(weights[..., :4], short.trace.selection.where, rtol=1e-4, atol=1e-6)


def test_each_direction_of_the_encoder_sees_its_own_side():
    encoder = TextEncoder(6, 3, 4)
    variables = encoder.init(jax.random.key(0), CODES)
    before = encoder.apply(variables, CODES)
    after = encoder.apply(variables, CODES.at[1, 2].set(1))  # the third of six
    differs = np.abs(np.asarray(before - after)).reshape(2, 6, 2, 4).max(-1) > 1e-6
    assert not differs[0].any()
    np.testing.assert_array_equal(differs[1, :, 0], np.arange(6) >= 2)
    np.testing.assert_array_equal(differs[1, :, 1], np.arange(6) <= 2)
    assert (before[0, 4:] == 0).all()
