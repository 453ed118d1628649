"""The table of runs for readers: every state is shown, and each figure in percent."""

import json
from pathlib import Path

import pytest

from attn_jax import lock, viz
from attn_jax.errors import UserError
from attn_jax.records import read_json, write_json
from attn_jax.studies import table_files
from attn_jax.studies.outcomes import CellFigures, Outcome
from attn_jax.studies.table_files import kept, write
from attn_jax.studies.table_report import Report, shown, to_markdown
from attn_jax.studies.tables import read_table
from tests.studies.test_compare_outcomes import result

TABLE = read_table(
    {
        "title": "Nets",
        "note": "Of a paper.",
        "figure": "test/error_mean",
        "cells": {
            "fcn/R": {"published": 0.021},
            "cnn/R": {"controls": ["fcn/R", "cnn/TC"], "published": 0.0},
            "cnn/TC": {},
            "st/TC": {},
        },
    },
    "nets.py",
)
MADE_OF = {"config": "nets.py", "set": []}


def finished(wrong: int) -> Outcome:
    return Outcome(
        "finished", "", result(wrong, parameters=1234, wall_seconds=60.0, digest=str(wrong))
    )


OUTCOMES = {
    "fcn/R": {"0": finished(40), "1": finished(44)},
    "cnn/R": {"0": finished(20), "1": Outcome("failed", "error: a | b")},
    "cnn/TC": {"0": Outcome("not run"), "1": Outcome("in progress", "step 4 of 9")},
    "st/TC": {"0": Outcome("not run"), "1": Outcome("not run")},
}


@pytest.fixture
def report() -> Report:
    cells = {name: CellFigures(TABLE.cells[name], one) for name, one in OUTCOMES.items()}
    return Report(TABLE, cells, ["0", "1"])


def test_rows_by_columns_show_figures_states_and_what_was_published(report: Report):
    grid = report.grid()
    assert grid.header == ["", "R", "TC"]
    assert grid.rows == [
        ["fcn", "8.40 [6.84, 10.28]; published 2.10", ""],
        ["cnn", "4.00 [2.60, 6.10] (1 of 2 seeds); published 0.00", "in progress"],
        ["st", "", "not run"],
    ]


def test_a_line_a_cell_shows_each_seed_and_its_controls(report: Report):
    first, second, third, fourth, _ = report.lines().rows
    assert first == [
        "fcn/R", "8.40 [6.84, 10.28]", "8.00 [5.93, 10.71]; 8.80 [6.62, 11.61]", "2.10", "", "",
        "1,234", "60",
    ]  # fmt: skip
    assert second[:5] == [
        "cnn/R", "4.00 [2.60, 6.10]", "4.00 [2.60, 6.10]; failed: error: a | b", "0.00", "fcn/R",
    ]  # fmt: skip
    assert second[5].startswith("+4.00 [+1.0")
    assert third == ["", "", "", "", "cnn/TC", "not run", "", ""]
    assert fourth[:3] == ["cnn/TC", "", "not run; in progress: step 4 of 9"]


def test_plain_data_holds_the_same_as_fractions(report: Report):
    plain = json.loads(json.dumps(report.plain()))
    one = plain["cells"][0]
    assert (one["cell"], one["mean"], one["published"]) == ("fcn/R", pytest.approx(0.084), 0.021)
    assert one["seeds"]["1"]["value"] == 0.088
    assert plain["cells"][1]["controls"]["fcn/R"]["difference"][0] == pytest.approx(0.04)
    assert plain["cells"][1]["seeds"]["1"]["said"] == "error: a | b"
    assert plain["cells"][3]["mean"] is None


def test_markdown_has_as_many_places_in_each_line(report: Report):
    text = report.markdown()
    assert text.startswith("# Nets\n\nOf a paper.\n\n|  | R | TC |\n")
    for table in (report.grid(), report.lines()):
        lines = to_markdown(table).replace("\\|", "").split("\n")
        assert {line.count("|") for line in lines} == {len(table.header) + 1}
    assert "error: a \\| b" in text


def test_the_page_has_the_plot_and_the_table(report: Report):
    page = report.page()
    assert "3 of 8" in page
    assert page.count("<img ") == 1
    assert page.count("<table>") == 2
    forest = report.forest()
    assert forest is not None and forest.startswith(b"\x89PNG")


def test_one_cell_makes_no_plot(report: Report):
    cells = {**report.cells, "cnn/R": report.cells["st/TC"]}
    assert report._replace(cells=cells).forest() is None


def test_other_figures_are_not_in_percent():
    assert shown("test/loss", 1.2345, (1.0, 2.0), "+") == "+1.23 [+1, +2]"
    assert shown("test/error_mean", None) == ""


PAIRED = {
    "composites": 120,
    "rows": [
        {
            "mechanism": "cnn", "error": [0.04, 0.03, 0.05], "by_seed": [0.04], "parameters": 5,
            "step_ms": 1.0, "batch": 8, "places": 1, "of": 4, "passed_on": 2,
            "controls": {"R": {"error": [0.1, 0.1, 0.1], "difference": [0.06, 0.05, 0.07]}},
        }
    ],
}  # fmt: skip


def picture() -> bytes:
    return viz.to_png(viz.recurrence(1))


def test_what_was_tested_is_kept_while_the_runs_are_the_same(report: Report, tmp_path: Path):
    tested = {"of": {"fcn,R,seed=0": "40", "cnn,R,seed=0": "20"}, **PAIRED}
    first = write(tmp_path, report, MADE_OF, (tested, picture()), page=True)
    assert "## On the same images" in first
    assert "+6.00 [+5.00, +7.00]" in first
    assert (tmp_path / "report.html").read_text().count("<img ") == 2
    assert write(tmp_path, report, MADE_OF) == first
    again = {**report.cells["fcn/R"].outcomes, "0": finished(41)}
    cells = {**report.cells, "fcn/R": report.cells["fcn/R"]._replace(outcomes=again)}
    assert "On the same" not in write(tmp_path, report._replace(cells=cells), MADE_OF)
    assert "paired" not in read_json(tmp_path / "compare.json")


def test_the_folder_of_a_run_is_refused(tmp_path: Path):
    assert kept(tmp_path) == {}
    write_json(tmp_path / "config.json", {})
    with pytest.raises(UserError, match=r"\A\S+ holds a run, not a table of runs; give another"):
        kept(tmp_path)


def test_one_process_at_a_time_writes(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_files, "_PATIENCE", 0.1)
    with lock.hold(tmp_path), pytest.raises(UserError, match="is in use by process"):
        write(tmp_path, report, MADE_OF)
    assert not (tmp_path / "compare.md").exists()
    write(tmp_path, report, MADE_OF)
    assert {one.name for one in tmp_path.iterdir()} == {"compare.md", "compare.json"}
