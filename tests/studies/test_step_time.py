"""The benchmark's figures are there, and follow from one another."""

import time
from collections.abc import Callable

import pytest
from ml_collections import ConfigDict

from attn_jax.errors import UserError
from attn_jax.studies.step_time import benchmark, lines
from attn_jax.yardsticks import rates


@pytest.fixture(scope="module")
def measured(config_of: Callable[..., ConfigDict]) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "_SIDE", 64)
        return benchmark(config_of().to_dict(), 3, time.time())


def test_figures_follow_from_one_another(measured: dict):
    assert (measured["batch"], measured["calls"], measured["steps_per_call"]) == (8, 3, 4)
    assert 0 < measured["step_ms_fastest"] <= measured["step_ms"]
    assert measured["examples_per_second"] == pytest.approx(8 / (1e-3 * measured["step_ms"]))
    mean = (measured["matmul_gflops_before"] + measured["matmul_gflops_after"]) / 2
    per_gflops = measured["examples_per_second"] / mean
    assert measured["examples_per_second_per_gflops"] == pytest.approx(per_gflops)
    assert 0 < measured["compile_seconds"] < measured["first_call_seconds"]
    assert 0 < measured["peak_memory_mb_early"] <= measured["peak_memory_mb"]
    assert {"version/jax", "version/python", "device"} <= measured.keys()


def test_lines_have_a_row_a_figure(measured: dict):
    assert [line.split()[0] for line in lines(measured)] == [*measured]


def test_a_config_that_does_not_fit_is_refused(config_of: Callable[..., ConfigDict]):
    with pytest.raises(UserError, match="mechanism.read must be one of"):
        benchmark(config_of(mechanism__read="retna").to_dict(), 3, 0.0)
