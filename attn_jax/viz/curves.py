"""Learning curves: one panel for each figure, training and validation together."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attn_jax.records import is_fraction
from attn_jax.viz import draw
from attn_jax.viz.axes import scale_y, series_colour, thousands, tidy

_WIDTH, _HEIGHT, _COLUMNS = 3.6, 2.5, 2


def learning_curves(rows: Sequence[Mapping[str, float]]):
    """Draw the figures that a run logged, against the step.

    A key is `split/figure`, or `figure` alone. Figures whose names begin with the same word share
    a panel if one of them is that word: `validation/error_mean` is drawn with `train/error`. A
    panel of fractions, by `records.is_fraction`, is labelled in percent. An axis is logarithmic if
    positive values fall over more than one and a half powers of ten.

    Args:
      rows: the lines of metrics.jsonl, each with "step" and any numbers. A key may be missing
        from some; values that are not finite are left out.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if a row has no step, or no row has a finite number beside its step.
    """
    series = _series(rows)
    panels = _panels(list(series))
    if not panels:
        raise ValueError(f"rows must hold a finite number beside 'step'; got {len(rows)} rows")
    down = -(-len(panels) // _COLUMNS)
    figure = draw.new_figure(_WIDTH * min(_COLUMNS, len(panels)), _HEIGHT * down)
    for i, (quantity, keys) in enumerate(panels.items()):
        left, top = i % _COLUMNS * _WIDTH, i // _COLUMNS * _HEIGHT
        draw.write(figure, left + 0.62, top + 0.1, quantity.replace("_", " "), fontweight="bold")
        axes = draw.panel(figure, left + 0.62, top + 0.36, _WIDTH - 0.8, _HEIGHT - 0.86)
        _panel(axes, quantity, {key: series[key] for key in keys})
    return figure


def _series(rows) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Collect (steps, values) of every key, in the order of the steps."""
    points: dict[str, list[tuple[float, float]]] = {}
    for i, row in enumerate(rows):
        if "step" not in row:
            raise ValueError(f"rows must each have 'step'; row {i} has {sorted(row)}")
        for key, value in row.items():
            if key != "step" and isinstance(value, int | float) and math.isfinite(value):
                points.setdefault(key, []).append((row["step"], value))
    columns = {key: np.array(sorted(pairs), float).T for key, pairs in points.items()}
    return {key: (steps, values) for key, (steps, values) in columns.items()}


def _panels(keys: list[str]) -> dict[str, list[str]]:
    """Group keys into panels, named by the shortest name that the others extend by words."""
    names = {key: key.rpartition("/")[2] for key in keys}
    panels: dict[str, list[str]] = {}
    for key, name in names.items():
        home = min((n for n in names.values() if f"{name}_".startswith(f"{n}_")), key=len)
        panels.setdefault(home, []).append(key)
    return panels


def _panel(axes, quantity: str, series: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for i, (key, (steps, values)) in enumerate(series.items()):
        split, _, name = key.rpartition("/")
        label = f"{split} {name[len(quantity) :].replace('_', ' ').strip()}".strip() or name
        style = {"color": series_colour(i), "zorder": 2 + i / 10}
        if len(values) > 60:  # noisy: draw the values pale, and their running mean on top
            axes.plot(steps, values, lw=0.6, alpha=0.35, **style)
            reach = len(values) // 40
            box = np.full(2 * reach + 1, 1 / (2 * reach + 1))
            steps, values = steps[reach:-reach], np.convolve(values, box, "valid")
        marker = "o" if len(values) <= 30 else None
        axes.plot(steps, values, lw=1.5, marker=marker, ms=3, label=label, **style)
    every = np.concatenate([values for _, values in series.values()])
    percent = all(is_fraction(key) for key in series)
    falls = any(values[-1] < values[0] for _, values in series.values())
    scale_y(axes, every, decades=1.5 if falls else math.inf, percent=percent)
    tidy(axes)
    axes.set_xlabel("step", fontsize=8, color=draw.FAINT, labelpad=1)
    axes.xaxis.set_major_formatter(lambda step, _: thousands(step))
    if len(series) > 1:
        axes.legend(fontsize=8, frameon=False, handlelength=1.4, loc="best")
