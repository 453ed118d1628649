"""The figures that tell how spatial transformers fare, over training: several runs together."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.axes import scale_y, series_colour, thousands, tidy

# figure -> (title, whether it is a fraction), in the order of the panels
_FIGURES = {
    "train/outside": ("read outside the image", True),
    "train/scale": ("scale", False),
    "train/determinant": ("determinant", False),
    "train/distance": ("distance from the identity", False),
    "train/contrast": ("contrast of the output", False),
}
# Inches.
_WIDTH, _HEIGHT, _COLUMNS, _ENTRY = 2.9, 2.1, 3, 0.19
_DECADES = 1.5  # an axis is logarithmic if positive values span more
_THRESHOLD = {"color": draw.WARNING, "ls": ":", "lw": 1.3}

Rows = Sequence[Mapping[str, float]]


def transform_curves(
    rows: Rows | Mapping[str, Rows],
    thresholds: Mapping[str, tuple[float | None, float | None]] | None = None,
):
    """Draw what runs logged of their transforms against the step, one panel for each figure.

    The figures are "train/outside" (a fraction, shown in percent), "train/scale",
    "train/determinant", "train/distance" and "train/contrast", whichever are present. An axis is
    logarithmic if all its values are positive and span more than one and a half powers of ten.

    Args:
      rows: the lines of metrics.jsonl of a run, each with "step"; of several runs, name -> lines.
        A key may be missing from some; values that are not finite are left out.
      thresholds: figure -> (low, high), drawn as dotted lines; None for a side without one.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if a row has no step, no row has one of the figures, or a threshold is of another.
    """
    named = isinstance(rows, Mapping)
    runs = rows if named else {"": rows}
    thresholds = thresholds or {}
    for key in thresholds:
        if key not in _FIGURES:
            raise ValueError(f"thresholds must be of {', '.join(_FIGURES)}; got {key!r}")
    panels = {key: _lines(runs, key) for key in _FIGURES}
    panels = {key: lines for key, lines in panels.items() if lines}
    if not panels:
        count = sum(map(len, runs.values()))
        raise ValueError(
            f"rows must hold a finite number of {', '.join(_FIGURES)}; got {count} rows"
        )
    entries = [(draw.plain(name, 60), _look(i)) for i, name in enumerate(runs)] if named else []
    if not panels.keys().isdisjoint(thresholds):
        entries.append(("threshold", _THRESHOLD))
    head = 0.1 + _ENTRY * len(entries) if entries else 0.0
    across, down = min(_COLUMNS, len(panels)), -(-len(panels) // _COLUMNS)
    figure = draw.new_figure(_WIDTH * across, head + _HEIGHT * down)
    _legend(figure, entries)
    for i, (key, lines) in enumerate(panels.items()):
        left, top = i % _COLUMNS * _WIDTH + 0.6, head + i // _COLUMNS * _HEIGHT
        title, percent = _FIGURES[key]
        draw.write(figure, left, top + 0.1, title, fontsize=9, fontweight="bold")
        axes = draw.panel(figure, left, top + 0.36, _WIDTH - 0.75, _HEIGHT - 0.84)
        _panel(axes, lines, list(runs), thresholds.get(key, (None, None)), percent)
    return figure


def _lines(runs: Mapping[str, Rows], key: str) -> dict[str, np.ndarray]:
    """Collect steps and values [2, n] of one figure, of each run that has it."""
    lines = {}
    for name, rows in runs.items():
        for i, row in enumerate(rows):
            if "step" not in row:
                raise ValueError(f"rows must each have 'step'; row {i} has {sorted(row)}")
        points = [(row["step"], row[key]) for row in rows if _is_known(row.get(key))]
        if points:
            lines[name] = np.array(sorted(points), float).T
    return lines


def _is_known(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _legend(figure, entries: Sequence[tuple[str, dict]]) -> None:
    """Name the lines above the panels, one below the other."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=name, **look) for name, look in entries]
    corner = {"loc": "upper left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.4}
    if handles:
        figure.legend(handles=handles, fontsize=8.5, frameon=False, handlelength=2.4, **corner)


def _look(index: int) -> dict:
    """Return the look of a run's line: runs differ by more than colour, and none is dotted."""
    return {"color": series_colour(index), "ls": ("-", "--", "-.")[index % 3], "lw": 1.5}


def _panel(axes, lines: Mapping[str, np.ndarray], names: list[str], bounds, percent: bool) -> None:
    for i, name in enumerate(names):
        if name in lines:
            marker = "o" if lines[name].shape[1] == 1 else None
            axes.plot(*lines[name], marker=marker, ms=3, gid="run", **_look(i))
    values = np.concatenate([line[1] for line in lines.values()])
    limits = [bound for bound in bounds if bound is not None and math.isfinite(bound)]
    for bound in limits:
        axes.axhline(bound, zorder=1.5, gid="threshold", **_THRESHOLD)
    # A threshold of 0 has no place on a logarithmic axis, and does not make it a linear one.
    shown = [bound for bound in limits if bound > 0 or values.min() <= 0]
    scale_y(axes, np.append(values, shown), decades=_DECADES, percent=percent)
    tidy(axes)
    axes.set_xlabel("step", fontsize=8, color=draw.FAINT, labelpad=1)
    axes.xaxis.set_major_formatter(lambda step, _: thousands(step))
