"""The benchmark's figures are there, and follow from one another."""

import time
from collections.abc import Callable

import pytest
from ml_collections import ConfigDict

from attn_jax.training import benchmark as module
from attn_jax.training.benchmark import benchmark, lines, matmul_rate
from attn_jax.training.names import UserError


@pytest.fixture(scope="module")
def measured(config_of: Callable[..., ConfigDict]) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SIDE", 64)
        return benchmark(config_of(), 3, time.time())


def test_figures_follow_from_one_another(measured: dict):
    assert (measured["batch"], measured["glimpses"], measured["rollouts"]) == (8, 3, 1)
    assert (measured["calls"], measured["steps_per_call"]) == (3, 4)
    assert 0 < measured["step_ms_fastest"] <= measured["step_ms"]
    assert measured["images_per_second"] == pytest.approx(8 / (1e-3 * measured["step_ms"]))
    mean = (measured["matmul_gflops_before"] + measured["matmul_gflops_after"]) / 2
    per_gflops = measured["images_per_second"] / mean
    assert measured["images_per_second_per_gflops"] == pytest.approx(per_gflops)
    assert 0 < measured["compile_seconds"] < measured["first_call_seconds"]
    assert 0 < measured["peak_memory_mb_early"] <= measured["peak_memory_mb"]
    assert {"version/jax", "version/python", "device"} <= measured.keys()


def test_lines_have_a_row_a_figure(measured: dict):
    assert [line.split()[0] for line in lines(measured)] == [*measured]


def test_the_matrix_product_is_counted_as_2_n_cubed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_timed", lambda call, calls: [0.5] * calls)
    assert matmul_rate(3) == pytest.approx(2 * 2048**3 / 0.5 / 1e9)


def test_a_config_that_does_not_fit_is_refused(config_of: Callable[..., ConfigDict]):
    with pytest.raises(UserError, match="model.read must be one of"):
        benchmark(config_of(model__read="retna"), 3, 0.0)
