"""Tables as configs declare them: what is read, what is refused, which cells are chosen."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from attn_jax.records import is_fraction
from attn_jax.studies.tables import choose, read_table, seeds_there
from attn_jax.systems import read_config
from configs import taxonomy
from tests.source_checks import refuses
from tests.tiny import ROOT, config_of_file

CELL = {
    "arg": "cnn",
    "overrides": {"train.steps": 5},
    "controls": ["fcn/R"],
    "published": 0.012,
    "figure": "test/error_m2",
    "folder": "net",
}
NETS = {
    "title": "Nets",
    "figure": "test/error_mean",
    "cells": {"cnn/R": CELL, "fcn/R": {}, "cnn/TC": {}},
}


def test_a_cell_has_what_is_declared_and_defaults_for_the_rest():
    table = read_table(NETS, "nets.py")
    one, other = table.cells["cnn/R"], table.cells["fcn/R"]
    assert {name: getattr(one, name) for name in CELL} == CELL | {"controls": ("fcn/R",)}
    assert other._asdict() == {
        "row": "fcn", "column": "R", "arg": "", "overrides": {}, "figure": "test/error_mean",
        "controls": (), "published": None, "folder": "fcn,R",
    }  # fmt: skip
    assert (table.rows, table.columns) == (["cnn", "fcn"], ["R", "TC"])
    assert one.run(Path("runs"), "3") == Path("runs/net,seed=3")


def changed(**parts: Any) -> dict[str, Any]:
    return {**NETS, **parts}


def of_cell(**parts: Any) -> dict[str, Any]:
    return changed(cells={"cnn/R": parts})


WRONG = {
    "no dict": ([], r"the table of a.py must be a dict; got \[\]"),
    "no title": (
        {"figure": "a", "cells": {}},
        "the table of a.py must have title, figure, cells; there is no title",
    ),
    "a key misspelt": (changed(titel="a"), "a key of the table of a.py .*'titel'.*'title'"),
    "a title that is none": (changed(title=3), "title of the table of a.py must be a text; got 3"),
    "no cells": (changed(cells={}), "must have cells, row/column -> a dict; got none"),
    "a cell without a column": (changed(cells={"cnn": {}}), "named row/column; got 'cnn'"),
    "a cell that leaves its folder": (changed(cells={"../a": {}}), r"row/column; got '\.\./a'"),
    "a folder elsewhere": (of_cell(folder="../a"), r"folder of cell cnn/R .*; got '\.\./a'"),
    "a cell that is no dict": (changed(cells={"a/b": 1}), "cell a/b of .* must be a dict; got 1"),
    "a cell's key misspelt": (of_cell(override={}), "cell cnn/R .*'override'.*'overrides'"),
    "a published text": (of_cell(published="1.2"), "published .* must be a number; got '1.2'"),
    "a control that is no list": (of_cell(controls="cnn/R"), "must be a list of texts; got 'cnn/R"),
    "an unknown control": (of_cell(controls=["cn/R"]), "controls of cnn/R .*'cn/R'.*'cnn/R'"),
    "an unknown study": (changed(study="sqare"), "study of .*'sqare'; did you mean 'square'"),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_line(name: str):
    plain, message = WRONG[name]
    with refuses(message):
        read_table(plain, "a.py")


def test_cells_are_chosen_by_their_names_their_rows_and_their_columns():
    table = read_table(NETS, "nets.py")

    def chosen(*only: str) -> list[str]:
        return [cell.name for cell in choose(table, only)]

    assert chosen() == ["cnn/R", "fcn/R", "cnn/TC"]
    assert chosen("cnn") == ["cnn/R", "cnn/TC"]
    assert chosen("TC", "fcn/R") == ["fcn/R", "cnn/TC"]
    with refuses(r"rows \(cnn, fcn\), columns \(R, TC\) and cells .*got 'cnn/RT'; .*'cnn/R'"):
        chosen("cnn/RT")


def test_the_seeds_that_are_there_are_those_of_the_tables_runs(tmp_path: Path):
    for name in ("net,seed=10", "net,seed=2", "fcn,R,seed=2", "other,seed=5", "net,seed=x"):
        (tmp_path / name).mkdir()
    (tmp_path / "net,seed=7.txt").write_text("")
    assert seeds_there(read_table(NETS, "nets.py"), tmp_path) == ["2", "10"]


DECLARED = [p.stem for p in (ROOT / "configs").glob("*.py") if "def get_table(" in p.read_text()]


@pytest.mark.parametrize("name", DECLARED)
@pytest.mark.parametrize("arg", [None, "tiny"])
def test_every_table_that_is_shipped_names_configs_and_figures_that_there_are(
    name: str, arg: str | None
):
    table = read_table(importlib.import_module(f"configs.{name}").get_table(arg), f"{name}.py")
    for cell in table.cells.values():
        config = config_of_file(name, cell.arg)
        with config.unlocked():
            config.update_from_flattened_dict(dict(cell.overrides))
        read_config(config.to_dict())
        assert is_fraction(cell.figure)
        assert cell.published is None or 0 <= cell.published <= 1
    if arg == "tiny":
        assert {config_of_file(name, one.arg).train.steps for one in table.cells.values()} == {6}


@pytest.mark.parametrize("arg", [None, "tiny"])
def test_the_squares_table_holds_each_mechanism_beside_its_controls(arg: str | None):
    table = read_table(taxonomy.get_table(arg), "taxonomy.py")
    assert table.rows == list(taxonomy.CONTROLS)
    for name, controls in taxonomy.CONTROLS.items():
        assert table.cells[f"{name}/learned"].controls == tuple(f"{name}/{c}" for c in controls)
    for cell in table.cells.values():
        [(field, policy)] = cell.overrides.items()
        assert (field, policy) == ("mechanism.policy", cell.column)
    folders = [cell.folder for cell in table.cells.values()]
    assert len(folders) == len({*folders}) + 1  # of items weighted alike
    with refuses("taxonomy.py takes :tiny; got :item_soft"):
        taxonomy.get_table("item_soft")
