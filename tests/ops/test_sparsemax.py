"""Sparsemax against a bisection in float64, its exact gradient, and what is masked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax.ops import sparsemax

ROW = np.random.default_rng(0).normal(size=6).astype(np.float32)
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
    "flat: everything in the support": 1e-3 * ROW,
    "steep: one in the support": 1e4 * ROW,
    "very small": -1e30 + np.zeros(6, np.float32),
}
each = pytest.mark.parametrize("row", CASES.values(), ids=CASES)


def projected(row):
    """The projection onto the simplex: tau by bisection, in float64."""
    open_ = row > -np.inf
    p = np.zeros(row.shape)
    if open_.any():
        z = row[open_].astype(np.float64) - row[open_].max()
        low, high = -1.0, 0.0
        for _ in range(200):
            tau = (low + high) / 2
            low, high = (tau, high) if np.maximum(z - tau, 0).sum() > 1 else (low, tau)
        p[open_] = np.maximum(z - low, 0)
    return p


@each
def test_values_are_the_projection(row):
    p = jax.jit(sparsemax)(jnp.asarray(row))
    np.testing.assert_allclose(p, projected(row), atol=1e-6)
    np.testing.assert_allclose(p.sum(), float((row > -np.inf).any()), atol=1e-6)


@each
def test_the_jacobian_is_the_papers_and_finite_whatever_is_masked(row):
    support = projected(row) > 0
    count = max(support.sum(), 1)
    expected = np.diag(support.astype(float)) - np.outer(support, support) / count
    for jacobian in (jax.jacrev(sparsemax), jax.jacfwd(sparsemax)):
        np.testing.assert_allclose(jax.jit(jacobian)(jnp.asarray(row)), expected, atol=1e-6)


def test_gradients_are_differences_to_second_order():
    with jax.enable_x64(True):
        row = jnp.asarray(ROW, jnp.float64)
        check_grads(lambda e: sparsemax(jnp.asarray(e)), (row,), 2, eps=1e-5, rtol=1e-5)


def test_maps_and_batches():
    rows = jnp.asarray(np.random.default_rng(1).normal(size=(4, 6)), jnp.float32)
    flat = jax.jit(jax.vmap(sparsemax))(rows)
    np.testing.assert_allclose(flat, [projected(np.asarray(r)) for r in rows], atol=1e-6)
    maps = jax.vmap(sparsemax)(rows.reshape(4, 2, 3))
    np.testing.assert_array_equal(maps.reshape(4, 6), flat)


def test_some_places_are_left_out_and_a_shift_changes_nothing():
    p = sparsemax(jnp.asarray(2 * ROW))
    assert (np.asarray(p) == 0).any() and (np.asarray(p) > 0).sum() > 1
    np.testing.assert_allclose(sparsemax(jnp.asarray(2 * ROW + 3)), p, atol=1e-6)


def test_narrow_scores_are_computed_wide():
    scores = jnp.asarray(ROW).astype(jnp.bfloat16)
    p = sparsemax(scores)
    assert p.dtype == jnp.float32
    np.testing.assert_allclose(p, projected(np.asarray(scores, np.float32)), atol=1e-6)


def test_nan_is_seen():
    assert np.isnan(sparsemax(jnp.array([0.0, jnp.nan, -jnp.inf]))).all()


def test_nothing_to_choose_from_is_refused():
    with pytest.raises(ValueError, match=r"scores must have at least one place; got shape \(0,\)"):
        sparsemax(jnp.zeros(0))
