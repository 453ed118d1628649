"""Rates of the machine follow from what is counted and the seconds it takes."""

import pytest

from attn_jax.yardsticks import rates


def test_the_matrix_product_is_counted_as_2_n_cubed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rates, "timed", lambda call, calls: [0.5] * calls)
    assert rates.matmul_rate(3) == pytest.approx(2 * 2048**3 / 0.5 / 1e9)


def test_memory_is_read_and_written():
    assert rates.copy_rate(1) > 0
