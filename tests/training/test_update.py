"""An update is the same however many share a call, a device or a trace."""

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax import devices
from attn_jax.checkpoint import Checkpoints
from attn_jax.training.experiment import Experiment, Learner
from attn_jax.training.loop import Prefetcher, make_advance
from attn_jax.training.run import Run
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.training.update import fresh_state, make_update, many
from attn_jax.training.writers import Progress
from tests.tiny import (
    ROOT,
    WHOLE,
    environment,
    first_state,
    prepared,
    same_state,
    updated,
)
from tests.training.sharded import updates

Config = Callable[..., ConfigDict]
Prepared = tuple[Settings, Experiment]


@pytest.fixture(scope="module")
def ready(config_of: Config) -> Prepared:
    return prepared(config_of(**WHOLE))


def advanced(ready: Prepared, per_call: int, folder: Path) -> tuple[TrainState, list[dict]]:
    """The state after 8 updates, and the rows of the calls."""
    settings, experiment = ready
    train = dataclasses.replace(settings.train, steps_per_call=per_call)
    settings = dataclasses.replace(settings, train=train)
    checkpoints, progress = Checkpoints(folder), Progress(settings, 0)
    run, rows = Run(folder, settings, experiment, checkpoints, {}, progress, 0.0), []
    state = devices.init_sharded(lambda: fresh_state(settings, experiment.learner), split=False)
    with closing(Prefetcher(run)) as ahead:
        advance = make_advance(run, ahead, state)
        for step in range(0, 8, per_call):
            state, row, _ = advance(state, step)
            rows.append(row)
    return state, rows


def test_how_many_updates_share_a_call_changes_nothing(ready: Prepared, tmp_path: Path):
    state, rows = advanced(ready, 4, tmp_path)
    one_by_one, single = advanced(ready, 1, tmp_path)
    same_state(state, one_by_one)
    assert int(state.step) == 8
    assert [row["step"] for row in single] == [*range(1, 9)]
    for at, row in enumerate(rows):
        mine = single[4 * at : 4 * at + 4]
        for name in row.keys() - {"step"}:
            np.testing.assert_allclose(row[name], np.mean([one[name] for one in mine]), rtol=1e-5)


def test_the_spread_of_a_schedule_never_retraces(ready: Prepared):
    settings, experiment = ready
    chex.clear_trace_counter()
    update = jax.jit(chex.assert_max_traces(make_update(settings, experiment.learner), n=1))
    # As the loop holds them: a state that came from elsewhere would be another type.
    put = functools.partial(jax.device_put, device=devices.replicated(devices.data_mesh()))
    state, spreads = put(fresh_state(settings, experiment.learner)), []
    resident = put(experiment.resident)
    for _ in range(3):
        state, figures = update(state, resident, np.arange(8, dtype=np.int32))
        spreads.append(float(figures["spread"]))
    np.testing.assert_allclose(spreads, 0.1 - 0.05 * np.arange(3) / 12, rtol=1e-6)


def test_a_spread_that_does_not_act_is_no_figure(square_of: Config):
    _, _, figures = updated(square_of("item_soft"), 1)
    assert "spread" not in figures


def test_the_average_and_the_baseline_follow_the_updates(ready: Prepared, tmp_path: Path):
    settings, experiment = ready
    start = fresh_state(settings, experiment.learner)
    same_state(start.average, start.params)
    state, [row, *_] = advanced(ready, 1, tmp_path)
    assert row["train/value"] == 0  # a moving average is no regression
    assert state.evaluated is state.average
    distance = [
        sum(float(((a - b) ** 2).sum()) for a, b in zip(*map(jax.tree.leaves, pair), strict=True))
        for pair in ((start.params, state.average), (start.params, state.params))
    ]
    assert 0 < distance[0] < distance[1]  # the average lags


def test_the_seed_decides_the_parameters(config_of: Config):
    def kernel(**changed: Any) -> np.ndarray:
        return np.asarray(first_state(config_of(**changed)).params["classify"]["Dense_0"]["kernel"])

    np.testing.assert_array_equal(kernel(), kernel())
    assert (kernel() != kernel(seed=1)).any()


def test_other_collections_are_carried_and_not_differentiated(ready: Prepared):
    settings, _ = ready

    def loss(params, batch, key, step, carried):
        mean = batch.mean()
        return params["w"] * mean, ({"mean": mean}, {"mean": mean, "count": carried["count"] + 1})

    learner = Learner(
        init=lambda key: ({"w": jnp.ones(())}, {"mean": jnp.zeros(()), "count": jnp.zeros(())}),
        batch=lambda resident, fed, key: fed,
        loss=loss,
    )
    state = fresh_state(settings, learner)
    fed = np.arange(16, dtype=np.float32).reshape(2, 8)
    state, figures = jax.jit(many(make_update(settings, learner)))(state, (), fed)
    assert figures["loss"][0] == 3.5  # the engine sees it, whatever figures a system gives
    assert set(state.params) == {"w"}
    assert (float(state.carried["mean"]), float(state.carried["count"])) == (11.5, 2)


def test_four_devices_give_what_one_gives(data: Path, jax_cache: Path):
    env = environment(
        jax_cache,
        XLA_FLAGS="--xla_force_host_platform_device_count=4",
        PYTHONPATH=str(ROOT),
    )
    line = [sys.executable, str(Path(__file__).with_name("sharded.py")), str(data)]
    ended = subprocess.run(line, env=env, cwd=ROOT, capture_output=True, check=True)
    whole, split = json.loads(ended.stdout)
    one = updates(data)
    assert (one["devices"], whole["devices"], split["devices"]) == (1, 4, 4)
    assert (one["parts"], whole["parts"]) == ([64], [16])  # the batch is split, not copied
    assert one["state"] == whole["state"] == 4 * split["state"]
    for name in ("loss", "cross_entropy", "value"):
        ours = np.array(one["figures"][name])
        assert ours.shape == (20,)
        assert len(set(ours)) == 20
        for four in (whole, split):
            np.testing.assert_allclose(four["figures"][name], ours, rtol=1e-5)
