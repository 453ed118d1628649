"""Masked softmax, log-softmax and entropy against scipy, whatever is masked; additive scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from attn_jax.ops import (
    additive_scores,
    categorical_entropy,
    dot_scores,
    mask_scores,
    masked_log_softmax,
    masked_softmax,
    scaled_dot_scores,
)
from attn_jax.ops import entropy as probabilities_entropy

ROW = np.random.default_rng(0).normal(size=6, scale=3).astype(np.float32)
INF = np.float32(np.inf)


def hidden(*places):
    row = ROW.copy()
    row[list(places)] = -INF
    return row


CASES = {
    "none masked": ROW,
    "some masked": hidden(1, 4),
    "all but one masked": hidden(0, 1, 2, 4, 5),
    "all masked": hidden(*range(6)),
    "equal": np.zeros(6, np.float32),
    "large": 1e4 * ROW,
    "large and masked": 1e4 * hidden(0, 5),
    "very small": -1e30 + np.zeros(6, np.float32),
}
BATCH = jnp.asarray(np.stack(list(CASES.values())))


def softmax(row):
    open_ = row > -np.inf
    alpha = np.zeros(row.shape)
    if open_.any():
        alpha[open_] = scipy.special.softmax(row[open_].astype(np.float64))
    return alpha


def log_softmax(row):
    open_ = row > -np.inf
    log_alpha = np.full(row.shape, -np.inf)
    if open_.any():
        log_alpha[open_] = scipy.special.log_softmax(row[open_].astype(np.float64))
    return log_alpha


def entropy(row):
    return scipy.stats.entropy(softmax(row)) if (row > -np.inf).any() else 0.0


def finite_sum(log_alpha):
    """A log-softmax is used where it is finite."""
    return jnp.where(jnp.isfinite(log_alpha), log_alpha * jnp.arange(1.0, 7.0), 0.0).sum()


OF = {  # ours, its oracle, and a scalar of it to differentiate
    "softmax": (masked_softmax, softmax, lambda a: (a * jnp.arange(1.0, 7.0)).sum()),
    "log-softmax": (masked_log_softmax, log_softmax, finite_sum),
    "entropy": (categorical_entropy, entropy, lambda h: h),
}
functions = pytest.mark.parametrize(("ours", "oracle", "scalar"), OF.values(), ids=OF)


@functions
def test_values_are_scipys_in_float64_under_jit_and_vmap(ours, oracle, scalar):
    expected = np.stack([oracle(row) for row in np.asarray(BATCH)])
    out = jax.jit(jax.vmap(ours))(BATCH)
    assert not np.isnan(out).any()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@functions
def test_maps_are_normalised_over_both_axes(ours, oracle, scalar):
    out = jax.jit(jax.vmap(ours))(BATCH.reshape(-1, 2, 3))
    flat = jax.jit(jax.vmap(ours))(BATCH)
    np.testing.assert_allclose(out.reshape(flat.shape), flat, rtol=1e-6, atol=1e-7)


@functions
def test_gradients_are_finite_and_zero_where_masked(ours, oracle, scalar):
    gradient = jax.jit(jax.vmap(jax.grad(lambda row: scalar(ours(row)))))(BATCH)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.asarray(gradient)[np.isinf(BATCH)], 0)


@functions
def test_gradients_are_those_of_the_unmasked_places_alone(ours, oracle, scalar):
    row, step = np.asarray(hidden(1, 4), np.float64), 1e-6

    def value(row):
        out = oracle(row)
        weights = np.arange(1.0, 7.0) if out.shape else 1.0
        return np.where(np.isfinite(out), out * weights, 0.0).sum()

    ends = [(value(row + step * e), value(row - step * e)) for e in np.eye(6)]
    expected = [(after - before) / (2 * step) for after, before in ends]
    gradient = jax.jit(jax.grad(lambda row: scalar(ours(row))))(jnp.asarray(row, jnp.float32))
    np.testing.assert_allclose(gradient, expected, atol=1e-4)


@functions
def test_narrow_scores_are_computed_wide(ours, oracle, scalar):
    scores = jnp.asarray(ROW).astype(jnp.bfloat16)
    out = jax.jit(ours)(scores)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, oracle(np.asarray(scores, np.float64)), rtol=1e-5)


@functions
def test_no_places_at_all_are_refused(ours, oracle, scalar):
    with pytest.raises(ValueError, match=r"scores must have at least one place; got shape \(0,\)"):
        ours(jnp.zeros(0))


@pytest.mark.parametrize("row", CASES)
def test_entropy_of_probabilities_is_the_entropy_of_their_scores(row):
    p = jnp.asarray(softmax(CASES[row]), jnp.float32)
    np.testing.assert_allclose(probabilities_entropy(p), entropy(CASES[row]), rtol=1e-5, atol=1e-6)
    assert np.isfinite(jax.grad(probabilities_entropy)(p)).all()


@pytest.mark.parametrize("lead", [(5,), (2, 3)])
def test_dot_scores_are_products_with_each_item(lead):
    rng = np.random.default_rng(0)
    keys, query = rng.normal(size=(*lead, 4)), rng.normal(size=4)
    narrow = [jnp.asarray(a, jnp.float32) for a in (keys, query)]
    np.testing.assert_allclose(jax.jit(dot_scores)(*narrow), keys @ query, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(scaled_dot_scores)(*narrow), keys @ query / 2, rtol=1e-5)


def test_nan_is_seen_and_not_hidden_as_a_masked_place():
    assert np.isnan(masked_softmax(jnp.array([0.0, jnp.nan, -jnp.inf]))).any()


@pytest.mark.parametrize("lead", [(5,), (2, 3)])
def test_additive_scores_are_one_tanh_each(lead):
    rng = np.random.default_rng(0)
    keys, query, v = rng.normal(size=(*lead, 4)), rng.normal(size=4), rng.normal(size=4)
    expected = np.zeros(lead)
    for place in np.ndindex(lead):
        expected[place] = sum(v[a] * np.tanh(keys[place][a] + query[a]) for a in range(4))
    arrays = [jnp.asarray(a, jnp.float32) for a in (keys, query, v)]
    np.testing.assert_allclose(jax.jit(additive_scores)(*arrays), expected, rtol=1e-4, atol=1e-5)


def test_mask_scores_puts_minus_infinity_where_there_is_nothing():
    allowed = jnp.array([True, False, True])
    assert mask_scores(jnp.array([1.0, 2.0, 3.0]), allowed).tolist() == [1.0, -np.inf, 3.0]


def test_no_mask_changes_nothing():
    scores = jnp.ones(3)
    assert mask_scores(scores, None) is scores


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("shape", [(2,), (3, 1), ()])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="mask must have the shape of the scores") as error:
        mask_scores(jnp.zeros(3), jnp.ones(shape, bool))
    assert f"(3,); got {shape}" in str(error.value)
