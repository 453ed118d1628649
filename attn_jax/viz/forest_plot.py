"""A forest plot: rows of estimates with their intervals, several quantities side by side."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.axes import series_colour, tidy


class Column(NamedTuple):
    """One quantity of every row.

    Attributes:
      title: above the column.
      values: [N].
      half_widths: [N], of the values' intervals; None: no intervals.
      log: whether the axis is logarithmic; values that are not positive are then left out.
    """

    title: str
    values: Sequence[float]
    half_widths: Sequence[float] | None = None
    log: bool = False


def forest(labels: Sequence[str], columns: Sequence[Column]):
    """Draw a dot for each row in each column, with its interval; a linear axis has a line at 0.

    Args:
      labels: [N], of the rows, the first on top.
      columns: at least one, all of N values.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if a column is not as long as the labels.
    """
    for column in columns:
        if len(column.values) != len(labels):
            raise ValueError(
                f"{column.title!r} must have {len(labels)} values; got {len(column.values)}"
            )
    left, width, height = 2.9, 2.6, 0.2 * len(labels)
    figure = draw.new_figure(left + (width + 0.25) * len(columns), height + 0.85)
    rows = np.arange(len(labels))
    for i, column in enumerate(columns):
        axes = draw.panel(figure, left + i * (width + 0.25), 0.35, width, height)
        values = np.asarray(column.values, float)
        shown = values > 0 if column.log else np.isfinite(values)
        spread = None if column.half_widths is None else np.asarray(column.half_widths)[shown]
        axes.errorbar(
            values[shown], rows[shown], xerr=spread, fmt="o", ms=4, lw=1.2, color=series_colour(0)
        )
        if column.log:
            from matplotlib.ticker import NullFormatter

            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            axes.axvline(0, color=draw.FAINT, lw=0.8)
        tidy(axes)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_yticks(rows, labels if i == 0 else [""] * len(labels))
        axes.set_title(column.title, fontsize=9, color=draw.INK)
    return figure
