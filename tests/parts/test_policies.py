"""Figures are counts of wrong answers, however the images are batched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.data import Images
from attn_jax.parts.digits import DigitData, freeze_split, load_digits
from attn_jax.parts.learner import Wiring
from attn_jax.parts.policies import Answers, describe, figures, make_measure, policies
from attn_jax.systems import ram, read_config
from attn_jax.tasks import probabilities, wilson
from attn_jax.types import PyTree
from tests.tiny import first_state

Config = Callable[..., ConfigDict]


class Ready(NamedTuple):
    """A model that has learned nothing, and the frozen test set."""

    settings: ram.RamSections
    wiring: Wiring
    params: PyTree
    test: Images
    key: Any


def made(config: ConfigDict) -> tuple[ram.RamSections, DigitData]:
    _, settings = read_config(config.to_dict())
    assert isinstance(settings, ram.RamSections)
    return settings, load_digits(settings.data)


@pytest.fixture(scope="module")
def ready(config_of: Config) -> Ready:
    config = config_of()
    settings, digits = made(config)
    wiring = ram.wire(settings, digits.canvas)
    return Ready(settings, wiring, first_state(config).params, *freeze_split(digits, 1, "test"))


def test_the_partial_last_batch_counts_once(ready: Ready):
    counts, policy = [], policies(ready.wiring, ready.settings.evaluate)["m3"]
    for batch in (5, 12, 50):  # 5, 5 and 2; all at once; more than there are
        measure = make_measure(ready.wiring, policy, batch)
        counts.append(measure(ready.params, *ready.test, ready.key))
    assert [one.total for one in counts] == [12, 12, 12]
    for one in counts[1:]:
        np.testing.assert_array_equal(one.wrong, counts[0].wrong)


@pytest.mark.parametrize("name", ["mean", "m3", "random", "center"])
def test_wrong_answers_are_those_of_averaged_probabilities(ready: Ready, name: str):
    policy, key = policies(ready.wiring, ready.settings.evaluate)[name], ready.key
    model, ids = ready.wiring.model(policy.estimator, policy.start), jax.numpy.arange(12)
    x = jax.numpy.asarray(ready.test.images / np.float32(255), jax.numpy.float32)

    @jax.jit
    def answers(params: PyTree):
        return probabilities(model, {"params": params}, x, key, ids, policy.rollouts)

    p = np.asarray(answers(ready.params))
    assert policy.rollouts == (3 if name == "m3" else 1)
    measured = make_measure(ready.wiring, policy, 5)(ready.params, *ready.test, key)
    wrong = (p.argmax(-1) != ready.test.labels[:, None]).sum(0)
    np.testing.assert_array_equal(measured.wrong, wrong)
    assert measured.wrong.shape == (3,)  # after each glimpse


def test_an_error_is_a_fraction_of_the_last_glimpse_with_wilsons_interval():
    labels = np.arange(12) % 3
    given = np.stack([np.where(np.arange(12) < wrong, 5, labels) for wrong in (9, 4, 3)], -1)
    measured = Answers(given, labels)
    low, high = wilson(3, 12)
    assert measured.error() == (0.25, low, high)
    assert measured.error(0)[0] == 0.75
    assert figures("test", "m3", measured) == {
        "test/error_m3": 0.25,
        "test/error_m3_low": low,
        "test/error_m3_high": high,
    }


def test_a_confusion_matrix_counts_last_answers_by_class():
    given = np.array([[2, 0], [2, 1], [1, 1], [0, 1]])
    counts = Answers(given, np.array([0, 0, 1, 2])).confusion(3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_frozen_sets_are_the_data_seeds_and_not_the_runs(config_of: Config):
    def frozen(**changed: Any) -> np.ndarray:
        config = config_of(data__task="translated", data__size=14, data__shift=0, **changed)
        settings, digits = made(config)
        return freeze_split(digits, settings.data.seed, "test")[0].images

    first = frozen()
    np.testing.assert_array_equal(first, frozen(seed=5))
    assert (first != frozen(data__seed=5)).any()


def test_augmentation_is_for_training_only(config_of: Config, data: Path):
    _, digits = made(config_of(data__shift=3))
    composed, _ = freeze_split(digits, 1, "test")
    np.testing.assert_array_equal(composed.images, np.load(data)["x_test"][..., None])


@pytest.mark.parametrize(
    ("name", "words"), [("m10", "10 sampled rollouts, averaged"), ("center", "control: the centre")]
)
def test_policies_are_described(name: str, words: str):
    assert describe(name).startswith(words)
