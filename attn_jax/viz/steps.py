"""The error after each glimpse."""

from collections.abc import Mapping

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.axes import scale_y, series_colour, tidy
from attn_jax.viz.checks import check_shapes

# (errors [T], lower ends [T], upper ends [T]); no band is drawn where the ends are None.
Series = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def error_by_glimpse(
    errors: np.ndarray | Mapping[str, Series],
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    *,
    label: str = "error",
):
    """Draw the error after each glimpse, with its confidence interval as a band.

    Args:
      errors: [T], fractions in [0, 1]; or several series, name -> (errors, low, high).
      low: [T], the lower ends of the intervals; None: no band.
      high: [T], their upper ends.
      label: the name of a single series.

    Returns:
      A matplotlib figure; the legend gives the error after the last glimpse.

    Raises:
      ValueError: naming the series whose shapes are wrong or whose errors are no fractions.
    """
    series = errors if isinstance(errors, Mapping) else {label: (errors, low, high)}
    if not series:
        raise ValueError("errors must hold at least one series; got none")
    figure = draw.new_figure(6.4, 3.45 + 0.22 * len(series))
    axes = draw.panel(figure, 0.75, 0.1 + 0.22 * len(series), 5.45, 2.8)
    for i, (name, values) in enumerate(series.items()):
        _draw(axes, name, *_checked(name, *values), i)
    every = np.concatenate([np.asarray(values[0], float) for values in series.values()])
    scale_y(axes, every, decades=1.3, percent=True)
    tidy(axes)
    axes.set_xticks(range(1, max(len(values[0]) for values in series.values()) + 1))
    axes.set_xlabel("glimpses", fontsize=9, color=draw.INK)
    axes.set_ylabel("error", fontsize=9, color=draw.INK)
    corner = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3}
    axes.legend(fontsize=9, frameon=False, handlelength=1.6, **corner)
    return figure


def _checked(name: str, errors, low, high) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the shapes and the range of one series; a missing interval gets the width 0."""
    if (low is None) != (high is None):
        raise ValueError(f"low and high of {name!r} must be given together; got one of them")
    low, high = (errors, errors) if low is None else (low, high)
    check_shapes(errors=(errors, "T"), low=(low, "T"), high=(high, "T"))
    errors, low, high = (np.asarray(values, float) for values in (errors, low, high))
    if not np.all((errors >= 0) & (errors <= 1)):
        raise ValueError(f"errors of {name!r} must be fractions in [0, 1]; got {errors.tolist()}")
    return errors, low, high


def _draw(axes, name: str, errors, low, high, index: int) -> None:
    colour = series_colour(index)
    glimpses = np.arange(1, len(errors) + 1)
    text = f"{name}: {100 * errors[-1]:.2f} % after {len(errors)}"
    marker = "osD^vP"[index % 6]  # series differ by more than colour
    if np.any(high > low):
        axes.fill_between(glimpses, low, high, color=colour, alpha=0.18, lw=0)
    axes.plot(glimpses, errors, color=colour, lw=1.6, marker=marker, ms=5, label=text)
