"""Figures are counts of wrong answers, however the images are batched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.tasks import probabilities, wilson
from attn_jax.training.build import build, build_data
from attn_jax.training.measure import (
    Measured,
    describe,
    figures,
    freeze,
    make_measure,
    measure_key,
    policies,
)
from attn_jax.training.update import init_state

Config = Callable[..., ConfigDict]


@pytest.fixture(scope="module")
def prepared(config_of: Config) -> tuple[ConfigDict, Any, Any, Any]:
    """config, parts, variables, the frozen test set."""
    config = config_of()
    data = build_data(config)
    parts = build(config, data.shape)
    return (
        config,
        parts,
        init_state(config, parts).variables,
        freeze(config, data, data.source.test, 2),
    )


def test_the_partial_last_batch_counts_once(prepared: tuple):
    config, parts, variables, test = prepared
    counts = []
    for batch in (5, 12, 50):  # 5, 5 and 2; all at once; more than there are
        with config.unlocked():
            config.evaluate.batch = batch
        measure = make_measure(config, parts, policies(config, parts)["m3"])
        counts.append(measure(variables, *test, measure_key(config, 2)))
    assert [one.total for one in counts] == [12, 12, 12]
    for one in counts[1:]:
        np.testing.assert_array_equal(one.wrong, counts[0].wrong)


@pytest.mark.parametrize("name", ["mean", "m3", "random", "center"])
def test_wrong_answers_are_those_of_averaged_probabilities(prepared: tuple, name: str):
    config, parts, variables, test = prepared
    policy, key = policies(config, parts)[name], measure_key(config, 2)
    model, ids = parts.model(policy.choose, policy.start), np.arange(12, dtype=np.int32)
    x = jax.numpy.asarray(test.images / np.float32(255), jax.numpy.float32)
    p = np.asarray(
        jax.jit(lambda v: probabilities(model, v, x, key, jax.numpy.asarray(ids), policy.rollouts))(
            variables
        )
    )
    assert policy.rollouts == (3 if name == "m3" else 1)
    measured = make_measure(config, parts, policy)(variables, *test, key)
    wrong = (p.argmax(-1) != test.labels[:, None]).sum(0)
    np.testing.assert_array_equal(measured.wrong, wrong)
    assert measured.wrong.shape == (3,)  # after each glimpse


def test_percent_is_of_the_last_glimpse_with_wilsons_interval():
    measured = Measured(np.array([9, 4, 3]), 12)
    low, high = wilson(3, 12)
    assert measured.percent() == (25.0, 100 * low, 100 * high)
    assert measured.percent(0)[0] == 75.0
    assert figures("test", "m3", measured) == {
        "test/error_m3": 25.0,
        "test/error_m3_low": 100 * low,
        "test/error_m3_high": 100 * high,
    }


def test_frozen_sets_are_the_data_seeds_and_not_the_runs(config_of: Config):
    def frozen(**changed: Any) -> np.ndarray:
        config = config_of(data__task="translated", data__size=14, data__shift=0, **changed)
        data = build_data(config)
        return freeze(config, data, data.source.test, 2).images

    first = frozen()
    np.testing.assert_array_equal(first, frozen(seed=5))
    assert (first != frozen(data__seed=5)).any()


def test_augmentation_is_for_training_only(config_of: Config, data: Path):
    config = config_of(data__shift=3)
    made = build_data(config)
    composed = freeze(config, made, made.source.test, 2)
    np.testing.assert_array_equal(composed.images, np.load(data)["x_test"][..., None])


@pytest.mark.parametrize(
    ("name", "words"), [("m10", "10 sampled rollouts, averaged"), ("center", "control: the centre")]
)
def test_policies_are_described(name: str, words: str):
    assert describe(name).startswith(words)
