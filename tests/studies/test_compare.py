"""The comparison: the same composites for all, paired by image, intervals over digits."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from attn_jax.errors import UserError
from attn_jax.studies import compare as module
from attn_jax.studies.compare import (
    COMPOSITES,
    Cell,
    CellResult,
    compare,
    difference,
    paired_table,
)
from tests.tiny import train

CONTROLS = {"location_hard": ("random",), "item_hard": ("uniform",)}


def of_answers(wrong: np.ndarray) -> CellResult:
    return CellResult(Cell("item_soft", "learned", []), None, wrong, 1.0)


def test_differences_are_paired_and_their_intervals_over_digits():
    rng = np.random.default_rng(0)
    digits = rng.random((1, 400, 1)) < 0.3  # some digits are hard for both
    one, other = (np.broadcast_to(digits, (2, 400, 10)) for _ in range(2))
    better = one & (rng.random((2, 400, 10)) < 0.9)
    mean, low, high = difference(of_answers(better), of_answers(other))
    assert mean == pytest.approx(other.mean() - better.mean())
    assert 0 < low < mean < high
    of_digits = (other.astype(float) - better).mean((0, 2))
    assert high - mean == pytest.approx(1.96 * of_digits.std(ddof=1) / 20, rel=1e-3)
    assert difference(of_answers(one), of_answers(other)) == (0, 0, 0)


@pytest.mark.parametrize(("errors", "half"), [((10, 12), 12.706), ((10, 11, 12), 2.484)])
def test_an_error_has_its_interval_over_seeds(errors: tuple[int, ...], half: float):
    wrong = np.zeros((len(errors), 100, 1), bool)
    for one, count in zip(wrong, errors, strict=True):
        one[:count] = True
    mean, low, high = of_answers(wrong).error
    assert mean == pytest.approx(np.mean(errors) / 100)
    assert 100 * ((high - low) / 2) == pytest.approx(half, rel=1e-3)  # t s / sqrt(n)


@pytest.fixture(scope="module")
def runs(square_of, tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    folder, cells = tmp_path_factory.mktemp("square"), []
    for mechanism, controls in CONTROLS.items():
        for policy in ("learned", *controls):
            paths = [folder / f"{mechanism},{policy},{seed}" for seed in (0, 1)]
            train(square_of(mechanism, mechanism__policy=policy, train__steps=4), paths[0])
            shutil.copytree(*paths)
            cells.append(Cell(mechanism, policy, paths))
    return cells


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "step_milliseconds", lambda settings, experiment: 1.0)


def test_finished_runs_make_one_table_and_one_picture(runs: list[Cell], untimed: None):
    plain, png = compare(runs, CONTROLS)
    note, table = paired_table(plain)
    assert f"{12 * COMPOSITES} frozen composites of 12 test digits" in note
    assert [row[0] for row in table.rows] == ["location_hard", "item_hard"]
    assert {len(row) for row in table.rows} == {len(table.header)}
    hard, items = plain["rows"]
    assert (hard["mechanism"], hard["places"], hard["passed_on"]) == ("location_hard", 9, 24)
    assert (items["mechanism"], items["places"], items["passed_on"]) == ("item_hard", 1, 6)
    control = hard["controls"]["random"]
    apart = np.mean(control["by_seed"]) - np.mean(hard["by_seed"])
    assert control["difference"][0] == pytest.approx(apart)
    assert len(hard["by_seed"]) == 2
    assert png.startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_comparison_is_the_same_again(runs: list[Cell], untimed: None):
    assert compare(runs, CONTROLS) == compare(runs, CONTROLS)


@pytest.mark.slow
def test_runs_on_other_data_are_not_compared(
    runs: list[Cell],
    untimed: None,
    square_of,
    tmp_path: Path,
):
    train(square_of("item_hard", data__seed=7), tmp_path / "other")
    cells = [runs[2]._replace(runs=[runs[2].runs[0], tmp_path / "other"])]
    with pytest.raises(UserError, match="other has other data than"):
        compare(cells, CONTROLS)
