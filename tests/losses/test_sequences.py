"""Cross-entropy and squared error against plain float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from attn_jax.losses import cross_entropy, squared_error

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 5), scale=4).astype(np.float32)
LABELS = np.array([[0, 4, 2], [1, 1, 3]])
loss = jax.jit(cross_entropy)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_cross_entropy_is_minus_the_log_probability_of_the_label(scale):
    log_p = scipy.special.log_softmax((scale * LOGITS).astype(np.float64), axis=-1)
    expected = -np.take_along_axis(log_p, LABELS[..., None], -1)[..., 0]
    out = loss(jnp.asarray(scale * LOGITS, jnp.float32), jnp.asarray(LABELS))
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_gradient_is_probability_less_the_label():
    expected = scipy.special.softmax(LOGITS.astype(np.float64), -1) - np.eye(5)[LABELS]
    gradient = jax.grad(lambda logits: loss(logits, jnp.asarray(LABELS)).sum())(LOGITS)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_narrow_logits_are_computed_wide():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    out = loss(logits, jnp.asarray(LABELS))
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, loss(logits.astype(jnp.float32), jnp.asarray(LABELS)))


def test_squared_error_trains_the_prediction_alone():
    prediction, target = jnp.array([1.0, 2.0, -1.0]), jnp.array([0.5, 4.0, -1.0])
    np.testing.assert_allclose(squared_error(prediction, target), [0.25, 4.0, 0.0])
    gradients = jax.grad(lambda p, t: squared_error(p, t).sum(), (0, 1))(prediction, target)
    np.testing.assert_allclose(gradients[0], [1.0, -4.0, 0.0])
    np.testing.assert_array_equal(gradients[1], 0)
