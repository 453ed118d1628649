"""Times against sizes: one panel for each size that grows, one line for each implementation."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from attn_jax.viz import draw
from attn_jax.viz.axes import series_colour, tidy

_WIDTH, _HEIGHT = 2.7, 2.3


class Growth(NamedTuple):
    """One panel: the times of several implementations as one size grows.

    Attributes:
      title: the operation that is timed.
      label: the name of the size that grows.
      sizes: [N], positive.
      times: name of an implementation -> [N], positive; the same names in every panel.
    """

    title: str
    label: str
    sizes: Sequence[float]
    times: Mapping[str, Sequence[float]]


def scaling(rows: Sequence[Sequence[Growth]], unit: str):
    """Draw panels in rows, with logarithmic axes.

    Args:
      rows: at least one; all have the same number of panels.
      unit: of the times.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if there is not one time for each size.
    """
    for panel in (one for row in rows for one in row):
        for name, times in panel.times.items():
            if len(times) != len(panel.sizes):
                raise ValueError(
                    f"{name!r} of {panel.title!r} must have {len(panel.sizes)} times; "
                    f"got {len(times)}"
                )
    across, down = 0.6 + (_WIDTH + 0.55) * len(rows[0]), 0.45 + (_HEIGHT + 0.85) * len(rows)
    figure = draw.new_figure(across, down)
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            left, top = 0.6 + j * (_WIDTH + 0.55), 0.7 + i * (_HEIGHT + 0.85)
            _panel(draw.panel(figure, left, top, _WIDTH, _HEIGHT), panel, unit if j == 0 else "")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper left", ncols=len(names), frameon=False, fontsize=9)
    return figure


def _panel(axes, panel: Growth, unit: str) -> None:
    for k, (name, times) in enumerate(panel.times.items()):
        marker = "osD^vP"[k % 6]  # lines differ by more than colour
        axes.plot(
            panel.sizes, times, color=series_colour(k), marker=marker, ms=4, lw=1.4, label=name
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(panel.sizes, [f"{size:g}" for size in panel.sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    tidy(axes)
    axes.set_title(panel.title, fontsize=9, color=draw.INK)
    axes.set_xlabel(panel.label, fontsize=8, color=draw.INK)
    axes.set_ylabel(unit, fontsize=8, color=draw.INK)
