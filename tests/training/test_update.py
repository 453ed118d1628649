"""An update is the same however many share a call, a device or a trace."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.training.checkpoint import Checkpoints
from attn_jax.training.experiment import Experiment
from attn_jax.training.loop import Run, make_advance
from attn_jax.training.prepare import prepare
from attn_jax.training.state import TrainState, data_mesh, replicated
from attn_jax.training.writers import Progress
from tests.tiny import ROOT, WHOLE, environment, same_state
from tests.training.sharded import updates

Config = Callable[..., ConfigDict]
Prepared = tuple[ConfigDict, Experiment]


@pytest.fixture(scope="module")
def prepared(config_of: Config) -> Prepared:
    config = config_of(**WHOLE)
    return config, prepare(config)


def advanced(prepared: Prepared, per_call: int, folder: Path) -> tuple[TrainState, list[dict]]:
    """The state after 8 updates, and the rows of the calls."""
    config, experiment = prepared
    config = config.copy_and_resolve_references()
    config.train.steps_per_call = per_call
    run = Run(folder, config, experiment, Checkpoints(folder), {}, Progress(12, 0, False), 0.0)
    advance, state, rows = make_advance(run), experiment.init(), []
    for step in range(0, 8, per_call):
        state, row, _ = advance(state, step)
        rows.append(row)
    return state, rows


def test_how_many_updates_share_a_call_changes_nothing(prepared: Prepared, tmp_path: Path):
    state, rows = advanced(prepared, 4, tmp_path)
    one_by_one, single = advanced(prepared, 1, tmp_path)
    same_state(state, one_by_one)
    assert int(state.step) == 8
    assert [row["step"] for row in single] == [*range(1, 9)]
    for at, row in enumerate(rows):
        mine = single[4 * at : 4 * at + 4]
        for name in row.keys() - {"step"}:
            np.testing.assert_allclose(row[name], np.mean([one[name] for one in mine]), rtol=1e-5)


def test_the_sigma_of_a_schedule_never_retraces(prepared: Prepared):
    _, experiment = prepared
    chex.clear_trace_counter()
    update = jax.jit(chex.assert_max_traces(experiment.update, n=1))
    # As the loop holds them: a state that came from elsewhere would be another type.
    put = functools.partial(jax.device_put, device=replicated(data_mesh()))
    state, split, sigmas = put(experiment.init()), put(experiment.examples), []
    for _ in range(3):
        state, figures = update(state, split, np.arange(8, dtype=np.int32))
        sigmas.append(float(figures["sigma"]))
    np.testing.assert_allclose(sigmas, 0.1 - 0.05 * np.arange(3) / 12, rtol=1e-6)


def test_the_average_and_the_baseline_follow_the_updates(prepared: Prepared, tmp_path: Path):
    _, experiment = prepared
    start = experiment.init()
    same_state(start.average, start.variables)
    state, [row, *_] = advanced(prepared, 1, tmp_path)
    assert row["train/value"] == 0  # a moving average is no regression
    assert state.evaluated is state.average
    distance = [
        sum(float(((a - b) ** 2).sum()) for a, b in zip(*map(jax.tree.leaves, pair), strict=True))
        for pair in ((start.variables, state.average), (start.variables, state.variables))
    ]
    assert 0 < distance[0] < distance[1]  # the average lags


def test_the_seed_decides_the_parameters(config_of: Config):
    def kernel(**changed: Any) -> np.ndarray:
        state = prepare(config_of(**changed)).init()
        return np.asarray(state.variables["params"]["classify"]["Dense_0"]["kernel"])

    np.testing.assert_array_equal(kernel(), kernel())
    assert (kernel() != kernel(seed=1)).any()


def test_four_devices_give_what_one_gives(data: Path, jax_cache: Path):
    env = environment(
        jax_cache,
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
        PYTHONPATH=str(ROOT),
    )
    line = [sys.executable, str(Path(__file__).with_name("sharded.py")), str(data)]
    four = json.loads(
        subprocess.run(line, env=env, cwd=ROOT, capture_output=True, check=True).stdout
    )
    one = updates(data)
    assert (one["devices"], four["devices"]) == (1, 4)
    assert (one["parts"], four["parts"]) == ([64], [16])  # the batch is split, not copied
    for name in ("loss", "cross_entropy", "value"):
        ours, theirs = np.array(one["figures"][name]), np.array(four["figures"][name])
        assert ours.shape == (20,)
        assert len(set(ours)) == 20
        np.testing.assert_allclose(theirs, ours, rtol=1e-5)
