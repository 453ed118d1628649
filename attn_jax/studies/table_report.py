"""A table of trained runs for readers: Markdown, plain data, one HTML page and a forest plot."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from attn_jax import viz
from attn_jax.records import is_fraction
from attn_jax.studies.outcomes import (
    FAILED,
    HELD,
    NOT_RUN,
    STOPPED,
    CellFigures,
    difference,
    ends_of,
)
from attn_jax.studies.tables import Table

_METHOD = (
    "Fractions are in percent. A mean is over seeds; its 95 % interval is Wilson's with the test "
    "examples of all seeds pooled, so it is of the examples and does not tell how seeds differ. "
    "A difference is control minus cell, paired by seed: its 95 % interval is Student's t over "
    "seeds, or Newcombe's where one seed is finished."
)


class Paired(NamedTuple):
    """Runs tested on the same images.

    Attributes:
      note: above the table.
      table: of paired differences.
      picture: a PNG of where each looks; None: none.
    """

    note: str
    table: viz.Table
    picture: bytes | None


class Report(NamedTuple):
    """A table and what is known of its cells.

    Attributes:
      table: as declared.
      cells: name -> its figures, of all cells of the table.
      seeds: that were asked for.
      paired: the same runs on the same images; None: not tested so.
    """

    table: Table
    cells: Mapping[str, CellFigures]
    seeds: Sequence[str]
    paired: Paired | None = None

    def plain(self) -> dict[str, Any]:
        """The table as plain data; figures as fractions."""
        cells = [self._plain_cell(cell) for cell in self.cells.values()]
        return {"title": self.table.title, "seeds": [*map(int, self.seeds)], "cells": cells}

    def _plain_cell(self, cell: CellFigures) -> dict[str, Any]:
        entry = cell.entry
        controls = {
            name: {"difference": list(apart)}
            for name in entry.controls
            if (apart := difference(cell, self.cells[name]))
        }
        return {
            "cell": entry.name,
            "figure": entry.figure,
            "mean": cell.mean,
            "interval": cell.ends and list(cell.ends),
            "published": entry.published,
            "controls": controls,
            "parameters": _parameters(cell),
            "seeds": {
                seed: {
                    "state": one.state,
                    "said": one.said,
                    "value": one.result.get(entry.figure),
                    "interval": (ends := ends_of(one.result, entry.figure)) and list(ends),
                    "wall_seconds": one.result.get("wall_seconds"),
                }
                for seed, one in cell.outcomes.items()
            },
        }

    def markdown(self) -> str:
        """The title, the table of rows and columns, and a line a cell."""
        parts = [f"# {self.table.title}", self.table.note, to_markdown(self.grid())]
        parts += [to_markdown(self.lines()), _METHOD]
        if self.paired:
            parts += ["## On the same images", self.paired.note, to_markdown(self.paired.table)]
        return "\n\n".join(part.strip() for part in parts if part) + "\n"

    def page(self) -> str:
        """The table as one HTML page, with pictures."""
        finished = sum(len(cell.values) for cell in self.cells.values())
        total = sum(len(cell.outcomes) for cell in self.cells.values())
        summary = [("runs finished", f"{finished} of {total}"), ("seeds", ", ".join(self.seeds))]
        blocks: list[viz.Picture | viz.Table] = [self.grid()]
        if forest := self.forest():
            alt = "A dot and an interval for each cell, and for its difference from its control."
            caption = "Each cell's mean, and its first control minus it, with 95 % intervals."
            blocks.append(viz.Picture(forest, alt, caption))
        sections = [
            viz.Section("Rows and columns", self.table.note, blocks),
            viz.Section("Each cell", _METHOD, [self.lines()]),
        ]
        if self.paired:
            blocks = [self.paired.table]
            if self.paired.picture:
                alt = "The same images once a mechanism, with where it looks."
                blocks.append(viz.Picture(self.paired.picture, alt, "Where each looks."))
            sections.append(viz.Section("On the same images", self.paired.note, blocks))
        return viz.render_report(self.table.title, summary, sections)

    def grid(self) -> viz.Table:
        """Rows by columns; an empty place where the table has no cell."""
        rows = [
            [row, *(self._place(f"{row}/{column}") for column in self.table.columns)]
            for row in self.table.rows
        ]
        figures = {cell.entry.figure for cell in self.cells.values()}
        caption = f"{', '.join(sorted(figures))}: mean [95 % interval]."
        return viz.Table(["", *self.table.columns], rows, caption)

    def _place(self, name: str) -> str:
        if name not in self.cells:
            return ""
        cell = self.cells[name]
        text = shown(cell.entry.figure, cell.mean, cell.ends) if cell.values else _state(cell)
        if 0 < len(cell.values) < len(cell.outcomes):
            text += f" ({len(cell.values)} of {len(cell.outcomes)} seeds)"
        published = cell.entry.published
        told = "" if published is None else f"; published {shown(cell.entry.figure, published)}"
        return text + told

    def lines(self) -> viz.Table:
        """A line a cell, or one for each of its controls."""
        header = (
            "cell", "mean [95 %]", f"each seed ({', '.join(self.seeds)})", "published", "control",
            "control minus it [95 %]", "parameters", "wall s a run",
        )  # fmt: skip
        rows: list[list[str]] = []
        for name, cell in self.cells.items():
            figure, published = cell.entry.figure, cell.entry.published
            each = "; ".join(
                shown(figure, one.result[figure], ends_of(one.result, figure))
                if one.result
                else one.words
                for one in cell.outcomes.values()
            )
            mean = shown(figure, cell.mean, cell.ends) if cell.values else ""
            told = "" if published is None else shown(figure, published)
            for i, control in enumerate(cell.entry.controls or [""]):
                held = [control, self._apart(cell, control) if control else ""]
                costs = [_parameters(cell), _seconds(cell)]
                own = [name, mean, each, told] if i == 0 else [""] * 4
                after = [f"{one:,}" if one else "" for one in costs] if i == 0 else [""] * 2
                rows.append([*own, *held, *after])
        return viz.Table(header, rows, "Each cell.")

    def _apart(self, cell: CellFigures, control: str) -> str:
        apart = difference(cell, self.cells[control])
        if apart is None:
            return NOT_RUN
        return shown(cell.entry.figure, apart[0], apart[1:] or None, "+")

    def forest(self) -> bytes | None:
        """A PNG of the cells' means and differences; None of fewer than two."""
        cells = [cell for cell in self.cells.values() if cell.values]
        figures = {cell.entry.figure for cell in cells}
        if len(cells) < 2 or len(figures) > 1:
            return None
        figure = figures.pop()
        means = [(cell.mean, *(cell.ends or ())) for cell in cells]
        apart = [
            (cell.entry.controls and difference(cell, self.cells[cell.entry.controls[0]])) or ()
            for cell in cells
        ]
        name = figure.rpartition("/")[2].replace("_", " ")
        columns = [_column(name, figure, means)]
        if any(apart):
            columns.append(_column("control minus it", figure, apart))
        labels = [cell.entry.name.replace("_", " ") for cell in cells]
        return viz.to_png(viz.forest(labels, columns))


def _column(title: str, figure: str, values: Sequence[Sequence[float]]) -> viz.Column:
    """One of a forest plot; an interval is drawn with half its width on either side."""
    scale = 100 if is_fraction(figure) else 1
    middles = [scale * one[0] if one else math.nan for one in values]
    halves = [scale * (one[2] - one[1]) / 2 if len(one) > 1 else 0.0 for one in values]
    return viz.Column(f"{title}, %" if scale == 100 else title, middles, halves)


def shown(
    figure: str,
    value: float | None,
    ends: Sequence[float] | None = None,
    sign: str = "",
) -> str:
    """A figure with its interval, without its unit: percent if it is a fraction.

    >>> shown("test/error_mean", 0.04, (0.02, 0.061)), shown("test/loss", 1.2345)
    ('4.00 [2.00, 6.10]', '1.23')
    """
    if value is None:
        return ""
    scale, form = (100, f"{sign}.2f") if is_fraction(figure) else (1, f"{sign}.3g")
    first, *rest = (f"{scale * one:{form}}" for one in (value, *(ends or ())))
    return f"{first} [{', '.join(rest)}]" if rest else first


def _state(cell: CellFigures) -> str:
    """The state of a cell none of whose runs is finished: of the run that is furthest."""
    states = [one.state for one in cell.outcomes.values()]
    return next(state for state in (HELD, STOPPED, FAILED, NOT_RUN) if state in states)


def _parameters(cell: CellFigures) -> int | None:
    """How many parameters its model has, whatever the seed."""
    return next((one.get("parameters") for one in cell.results.values()), None)


def _seconds(cell: CellFigures) -> int | None:
    """The mean time of a run, seconds."""
    seconds = [one["wall_seconds"] for one in cell.results.values() if "wall_seconds" in one]
    return round(fmean(seconds)) if seconds else None


def to_markdown(table: viz.Table) -> str:
    """A table in Markdown, without its caption.

    >>> print(to_markdown(viz.Table(("a", "b"), [("1", "2|3")])))
    | a | b |
    | --- | --- |
    | 1 | 2\\|3 |
    """
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
