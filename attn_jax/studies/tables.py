"""A table of trained runs, declared by a config file in plain data: rows, columns and cells."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_jax.errors import check_name, nearest_name

STUDIES = ("", "square")  # what else is made of the runs; "": nothing
_KINDS: dict[type, str] = {
    str: "a text",
    Mapping: "a dict",
    list: "a list of texts",
    float: "a number",
}
_TABLE = {"title": str, "figure": str, "cells": Mapping, "note": str, "study": str}
_CELL = {
    "arg": str,
    "overrides": Mapping,
    "figure": str,
    "controls": list,
    "published": float,
    "folder": str,
}
_NAME = r"\w[\w.+=-]*"
_NEEDED = ("title", "figure", "cells")


class Entry(NamedTuple):
    """One cell of a table: a config that is trained once a seed.

    Attributes:
      row, column: where it stands.
      arg: its config's argument, after the colon of --config=FILE:ARG; "": none.
      overrides: full name of a field -> its value.
      figure: the name, in result.json, of the figure that is shown.
      controls: names of the cells that it is held against.
      published: the same figure as published, a fraction where it is one; None: none.
      folder: what its runs' folders begin with; cells with the same one are the same runs.
    """

    row: str
    column: str
    arg: str
    overrides: Mapping[str, Any]
    figure: str
    controls: Sequence[str]
    published: float | None
    folder: str

    @property
    def name(self) -> str:
        """row/column."""
        return f"{self.row}/{self.column}"

    def run(self, workdir: Path, seed: str) -> Path:
        """The folder of its run of one seed."""
        return workdir / f"{self.folder},seed={seed}"


class Table(NamedTuple):
    """A declared table.

    Attributes:
      title: above it.
      note: below the title; may be "".
      cells: row/column -> the cell; rows and columns stand in the order of their first cells.
      study: of STUDIES.
    """

    title: str
    note: str
    cells: Mapping[str, Entry]
    study: str

    @property
    def rows(self) -> list[str]:
        """The names of the rows, each once."""
        return list(dict.fromkeys(cell.row for cell in self.cells.values()))

    @property
    def columns(self) -> list[str]:
        """The names of the columns, each once."""
        return list(dict.fromkeys(cell.column for cell in self.cells.values()))


def read_table(plain: Any, where: str) -> Table:
    """Read what a config's `get_table` returned.

    Args:
      plain: `title`, `figure` (such as "test/error_mean"), `cells`, and if wanted `note` and
        `study`. `cells` is a dict: "row/column" -> a dict of any of the attributes of Entry but
        the row and the column. By default a cell has the table's figure, the folder "row,column",
        and nothing else.
      where: the config file, for messages.

    Raises:
      ValueError: naming what is missing, unknown or of another kind.

    >>> plain = {"title": "Nets", "figure": "test/error_mean", "cells": {"cnn/R": {"arg": "cnn"}}}
    >>> read_table(plain, "a.py").cells["cnn/R"].folder
    'cnn,R'
    """
    what = f"the table of {where}"
    _check(plain, _TABLE, what, _NEEDED)
    if not plain["cells"]:
        raise ValueError(f"{what} must have cells, row/column -> a dict; got none")
    cells = {name: _entry(name, one, plain["figure"], what) for name, one in plain["cells"].items()}
    for name, cell in cells.items():
        for control in cell.controls:
            check_name(f"controls of {name} in {what}", control, cells)
    study = plain.get("study", "")
    check_name(f"study of {what}", study, STUDIES)
    return Table(plain["title"], plain.get("note", ""), cells, study)


def _entry(name: Any, plain: Any, figure: str, what: str) -> Entry:
    if not re.fullmatch(rf"{_NAME}/{_NAME}", str(name)):
        raise ValueError(f"a cell of {what} must be named row/column; got {name!r}")
    _check(plain, _CELL, f"cell {name} of {what}")
    row, _, column = name.partition("/")
    folder = plain.get("folder", f"{row},{column}")
    if not re.fullmatch(rf"{_NAME}(,{_NAME})*", folder):
        raise ValueError(f"folder of cell {name} of {what} must be a name; got {folder!r}")
    return Entry(
        row,
        column,
        plain.get("arg", ""),
        plain.get("overrides", {}),
        plain.get("figure", figure),
        tuple(plain.get("controls", ())),
        plain.get("published"),
        folder,
    )


def _check(plain: Any, kinds: Mapping[str, type], what: str, needed: Sequence[str] = ()) -> None:
    if not isinstance(plain, Mapping):
        raise ValueError(f"{what} must be a dict; got {plain!r}")
    for name, value in plain.items():
        check_name(f"a key of {what}", name, kinds)
        if not _is_a(value, kinds[name]):
            raise ValueError(f"{name} of {what} must be {_KINDS[kinds[name]]}; got {value!r}")
    if missing := [name for name in needed if name not in plain]:
        raise ValueError(f"{what} must have {', '.join(needed)}; there is no {missing[0]}")


def _is_a(value: Any, kind: type) -> bool:
    if kind is list:
        listed = isinstance(value, list | tuple)
        return listed and all(isinstance(one, str) for one in value)
    if kind is float:
        return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    return isinstance(value, kind)


def choose(table: Table, only: Sequence[str]) -> list[Entry]:
    """The cells that are named, in the table's order; all of them where no name is given.

    Args:
      only: names of cells (row/column), of rows and of columns.

    Raises:
      ValueError: for a name that is none of these, with the nearest.
    """
    valid = [*table.rows, *table.columns, *table.cells]
    for name in only:
        if name not in valid:
            hint = f"; did you mean {near!r}?" if (near := nearest_name(name, valid)) else ""
            raise ValueError(
                f"--only takes rows ({', '.join(table.rows)}), columns "
                f"({', '.join(table.columns)}) and cells (row/column); got {name!r}{hint}"
            )
    return [
        cell
        for name, cell in table.cells.items()
        if not only or {name, cell.row, cell.column} & {*only}
    ]


def seeds_there(table: Table, workdir: Path) -> list[str]:
    """The seeds of which a folder holds runs, in order."""
    starts = {f"{cell.folder},seed=" for cell in table.cells.values()}
    found = {
        path.name.removeprefix(start)
        for start in starts
        for path in workdir.glob("*,seed=*")
        if path.is_dir() and path.name.startswith(start)
    }
    return sorted(filter(str.isdecimal, found), key=int)
