"""How fast a training step is, beside what the machine could do."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from attn_jax import devices
from attn_jax.errors import as_user_errors
from attn_jax.records import versions
from attn_jax.systems import prepare
from attn_jax.training.experiment import Experiment
from attn_jax.training.settings import Settings
from attn_jax.training.update import fresh_state, make_update, many
from attn_jax.yardsticks.rates import matmul_rate, timed


def benchmark(config: Mapping[str, Any], calls: int, started: float) -> dict[str, Any]:
    """Time the update of a config.

    Args:
      config: plain data of a file in configs/.
      calls: how many calls of `train.steps_per_call` updates are timed, at least 3.
      started: `time.time()` when the process began.

    Returns:
      A flat dict: seconds to the first finished call since the process began, of compiling,
      milliseconds a step (median, fastest), examples/s, the matrix product's GFLOP/s before and
      after, examples/s per GFLOP/s, peak memory after a third of the calls and at the end.

    Raises:
      UserError: if the config does not fit.
    """
    settings, experiment = prepare(config)
    train = settings.train
    with as_user_errors():
        devices.check_batch(train.batch, train.steps_per_call)
    call, compile_seconds = _updates(settings, experiment)
    jax.block_until_ready(call())
    first = time.time() - started
    rate = matmul_rate()
    seconds = timed(call, calls // 3)
    early = _peak_megabytes()
    seconds += timed(call, calls - calls // 3)
    rates = [rate, matmul_rate()]
    step = statistics.median(seconds) / train.steps_per_call
    per_second = train.batch / step
    return {
        "compile_seconds": compile_seconds,
        "first_call_seconds": first,
        "step_ms": 1e3 * step,
        "step_ms_fastest": 1e3 * min(seconds) / train.steps_per_call,
        "examples_per_second": per_second,
        "matmul_gflops_before": rates[0],
        "matmul_gflops_after": rates[1],
        "examples_per_second_per_gflops": per_second / statistics.mean(rates),
        "peak_memory_mb_early": early,
        "peak_memory_mb": _peak_megabytes(),
        "batch": train.batch,
        "calls": calls,
        "steps_per_call": train.steps_per_call,
        **versions(),
    }


def step_milliseconds(settings: Settings, experiment: Experiment) -> float:
    """The median time of a training step over three calls of `train.steps_per_call` updates."""
    call, _ = _updates(settings, experiment)
    return 1e3 * statistics.median(timed(call, 3)) / settings.train.steps_per_call


def _updates(settings: Settings, experiment: Experiment) -> tuple[Callable[[], Any], float]:
    """A call of `train.steps_per_call` updates that go on from one another; compile seconds."""
    split = settings.train.state == "sharded"
    state = devices.init_sharded(lambda: fresh_state(settings, experiment.learner), split)
    resident = devices.replicate(experiment.resident)
    fed = devices.shard_batches(experiment.feed(0, settings.train.steps_per_call))
    layout = jax.tree.map(lambda leaf: leaf.sharding, state)
    update = jax.jit(
        many(make_update(settings, experiment.learner)),
        donate_argnums=0,
        out_shardings=(layout, devices.replicated(devices.data_mesh())),
    )
    began = time.perf_counter()
    compiled = update.lower(state, resident, fed).compile()
    compile_seconds = time.perf_counter() - began

    def call() -> Any:
        nonlocal state
        state, figures = compiled(state, resident, fed)
        return figures

    return call, compile_seconds


def lines(figures: dict[str, Any]) -> list[str]:
    """One line a figure, its name and its value."""
    width = max(map(len, figures))
    shown = ((k, f"{v:,.2f}" if isinstance(v, float) else str(v)) for k, v in figures.items())
    return [f"{name:{width}}  {value}" for name, value in shown]


def _peak_megabytes() -> float:
    """The most memory this process has held: Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
