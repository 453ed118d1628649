"""The laboratory's command on two small problems, and the variance of a tiny run."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.baselines import BASELINES
from attn_jax.errors import UserError
from attn_jax.laboratory import candidates, choice_problem, measure
from attn_jax.runs.load import load
from attn_jax.studies import estimators as laboratory
from attn_jax.studies import variance
from attn_jax.studies.variance import GradientVariance, location_variance, ratio
from tests.tiny import train


@pytest.mark.slow
def test_the_table_the_figures_and_the_plot_are_written(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    problems = {
        "5 items, twice": lambda: choice_problem((2,), 2),
        "one": lambda: choice_problem((2,), 1),
    }
    monkeypatch.setattr(laboratory, "PROBLEMS", problems)
    monkeypatch.setattr(
        laboratory, "candidates", lambda problem: itertools.islice(candidates(problem), 9)
    )
    monkeypatch.setattr(laboratory, "measure", lambda *args, **_: measure(*args, tolerance=1.0))
    monkeypatch.setattr(laboratory, "location_variance", lambda _: location_variance(_, count=3))
    kept = {name: BASELINES[name] for name in ("zero", "learned_value", "leave_one_out")}
    monkeypatch.setattr(variance, "BASELINES", kept)
    said: list[str] = []
    path = laboratory.run(tmp_path / "new", str(finished), 0, 0.02, said.append)

    table = path.read_text()
    plain = json.loads((path.parent / "estimators.json").read_text())
    assert (path.parent / "estimators.png").read_bytes().startswith(b"\x89PNG")
    assert said[-1] == table
    assert table.count("### ") == 3
    assert {one["problem"] for one in plain["problems"]} == set(problems)
    assert "| categorical | leave_one_out | 4 | " in table
    assert len(plain["run"]) == 5  # three baselines, M = 1 and 4; one has no M = 1
    assert "| learned_value | 4 | " in table and "| 1.00 [1.00, 1.00] |" in table


def test_a_run_that_is_not_there_is_refused_before_anything_is_measured(tmp_path: Path):
    with pytest.raises(UserError, match="holds no run"):
        laboratory.run(tmp_path / "new", str(tmp_path / "none"), 0, 0.02, print)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_variance_falls_with_rollouts_and_depends_on_the_baseline(
    config_of: Callable[..., ConfigDict], finished: Path
):
    cells = {(v.baseline, v.rollouts): v for v in location_variance(load(finished), count=40)}
    for name in ("zero", "learned_value"):
        one, four = cells[name, 1], cells[name, 4]
        assert 2 < one.variance / four.variance < 8
    assert len({v.variance for v in cells.values()}) == len(cells)


def test_a_run_without_credit_is_refused(finished: Path):
    loaded = load(finished)
    soft = dataclasses.replace(loaded.settings.mechanism, estimator="pathwise_gaussian")
    settings = dataclasses.replace(loaded.settings, mechanism=soft)
    with pytest.raises(UserError, match="the variance is of a credited choice"):
        location_variance(loaded._replace(settings=settings), count=2)


def test_the_images_are_those_the_run_was_trained_on(
    config_of: Callable[..., ConfigDict], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    config = config_of(data__task="translated", data__size=14, data__shift=0)
    train(config, tmp_path / "run")
    shapes, freeze = [], variance.freeze

    def watched(*args):
        frozen = freeze(*args)
        shapes.append(frozen.images.shape)
        return frozen

    monkeypatch.setattr(variance, "freeze", watched)
    monkeypatch.setattr(variance, "BASELINES", {"zero": variance.BASELINES["zero"]})
    location_variance(load(tmp_path / "run"), count=2, batch=3)
    assert shapes == [(3, 14, 14, 1)]


def test_a_ratio_has_the_interval_of_its_pairs():
    rng = np.random.default_rng(0)

    def varied(deviations: np.ndarray) -> GradientVariance:
        return GradientVariance("some", 4, deviations)

    base = rng.exponential(size=500)
    np.testing.assert_allclose(ratio(varied(2 * base), varied(base)), (2, 2, 2))
    covered = 0
    for _ in range(100):
        one, other = rng.exponential(size=(2, 300))
        _, low, high = ratio(varied(one), varied(other), resamples=300)
        covered += low < 1 < high
    assert covered >= 88  # of 95 to expect: 3 standard deviations
