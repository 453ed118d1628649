"""How far runs are, and what their figures say: intervals, pooled and of differences."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attn_jax import lock
from attn_jax.records import write_json, write_sealed
from attn_jax.studies.outcomes import (
    CellFigures,
    Outcome,
    difference,
    failure_file,
    newcombe,
    outcome,
    trials,
)
from attn_jax.studies.tables import Entry
from attn_jax.tasks import wilson

FIGURE = "test/error_mean"
CONFIG = {"system": "ram", "seed": 0, "train": {"steps": 12, "batch": 8}}


def entry(name: str = "cnn", figure: str = FIGURE) -> Entry:
    return Entry(name, "R", "", {}, figure, (), None, f"{name},R")


def result(wrong: int, total: int = 500, **more: Any) -> dict[str, Any]:
    low, high = wilson(wrong, total)
    return {FIGURE: wrong / total, f"{FIGURE}_low": low, f"{FIGURE}_high": high, **more}


def cell(*wrong: int, total: int = 500) -> CellFigures:
    return CellFigures(
        entry(), {str(i): Outcome("finished", "", result(w, total)) for i, w in enumerate(wrong)}
    )


@given(st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_trials_are_read_off_a_wilson_interval(counted: tuple[int, int]):
    count, total = counted
    assert trials(count / total, *wilson(count, total)) == total


@pytest.mark.parametrize("ends", [(0.1, 0.3), (0.2, 0.2), (-0.1, 0.5), (0.0, 1.0)])
def test_other_intervals_give_no_trials(ends: tuple[float, float]):
    assert trials(0.2, *ends) is None


def test_seeds_are_pooled():
    one, many = cell(20), cell(20, 26, 11)
    assert one.mean == pytest.approx(0.04)
    assert one.ends == pytest.approx(wilson(20, 500))
    assert many.mean == pytest.approx(19 / 500)
    assert many.ends == pytest.approx(wilson(57, 1500))
    assert many.values == {"0": 0.04, "1": 0.052, "2": 0.022}


def test_runs_that_are_not_finished_do_not_count():
    some = cell(20)._replace(outcomes={**cell(20).outcomes, "1": Outcome("not run")})
    assert (some.mean, some.ends) == (cell(20).mean, cell(20).ends)
    none = CellFigures(entry(), {"0": Outcome("failed", "error: no")})
    assert (none.mean, none.ends, none.values) == (None, None, {})
    assert difference(some, none) is None


def test_intervals_of_another_kind_are_shown_of_one_seed_and_not_pooled():
    odd = {FIGURE: 0.2, f"{FIGURE}_low": 0.1, f"{FIGURE}_high": 0.31}
    one = CellFigures(entry(), {"0": Outcome("finished", "", odd)})
    two = CellFigures(entry(), {str(i): Outcome("finished", "", odd) for i in range(2)})
    assert (one.ends, two.ends, two.mean) == ((0.1, 0.31), None, 0.2)
    bare = CellFigures(entry(), {"0": Outcome("finished", "", {FIGURE: 0.3})})
    assert bare.ends is None
    assert difference(one, bare) == pytest.approx((0.1,))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_difference_over_seeds_is_students(seeds: int):
    random = np.random.default_rng(seeds)
    one, control = random.integers(10, 40, seeds), random.integers(30, 90, seeds)
    found = difference(cell(*one.tolist()), cell(*control.tolist()))
    exact = stats.ttest_rel(control / 500, one / 500).confidence_interval(0.95)
    assert found == pytest.approx(((control - one).mean() / 500, exact.low, exact.high))


def test_a_difference_of_one_seed_is_newcombes():
    # The first example of Newcombe's table, by method 10: 56/70 - 48/80 is 0.0524 to 0.3339.
    p, q = (56 / 70, *wilson(56, 70)), (48 / 80, *wilson(48, 80))
    assert newcombe(q, p) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    found = difference(cell(20), cell(60))
    assert found == pytest.approx(newcombe((0.04, *wilson(20, 500)), (0.12, *wilson(60, 500))))


def test_a_difference_is_of_the_seeds_of_both():
    control = cell(50, 60, 70)
    del (outcomes := dict(control.outcomes))["1"]
    found = difference(cell(20, 30), control._replace(outcomes=outcomes))
    assert found == pytest.approx(difference(cell(20), cell(50)))


def states(folder: Path, **changed: Any) -> str:
    return outcome(folder, {**CONFIG, **changed}, FIGURE).words


def test_the_state_of_a_run_is_read_off_its_folder(tmp_path: Path):
    folder = tmp_path / "cnn,R,seed=0"
    assert states(folder) == "not run"
    failure_file(folder).write_text("error: no such data\n")
    assert states(folder) == "failed: error: no such data"
    (folder / "checkpoints" / "8").mkdir(parents=True)
    failure_file(folder).unlink()
    write_json(folder / "config.json", CONFIG)
    assert states(folder) == "stopped: step 8 of 12"
    with lock.hold(folder):
        assert states(folder) == "in progress: step 8 of 12"
    (folder / "lock").write_text("{}")  # of a process that was killed
    assert states(folder) == "stopped: step 8 of 12"
    write_sealed(folder / "result.json", result(20, steps=12))
    assert states(folder) == "finished"
    assert outcome(folder, CONFIG, FIGURE).result[FIGURE] == 0.04
    more = {**CONFIG["train"], "steps": 20}
    assert states(folder, train=more) == "stopped: step 8 of 20"


def test_the_run_of_another_config_and_a_figure_that_is_none_count_as_failed(tmp_path: Path):
    write_json(tmp_path / "config.json", CONFIG)
    write_sealed(tmp_path / "result.json", result(20, steps=12))
    other = {**CONFIG["train"], "batch": 9}
    assert states(tmp_path, train=other).startswith(f"failed: {tmp_path} holds a run of another")
    said = outcome(tmp_path, CONFIG, "test/error_meen").words
    assert "got 'test/error_meen'; did you mean 'test/error_mean'" in said
    assert "\n" not in said
    (tmp_path / "result.json").write_text("{}")
    assert "its digest differs" in states(tmp_path)
