"""Shared by the line plots: colours of series, and axes that suit the values."""

import numpy as np

from attn_jax.viz import draw

# Colours of Okabe and Ito, which people with any common colour blindness can tell apart.
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def series_colour(index: int) -> str:
    """Return the colour of a series; the seventh has the colour of the first."""
    return SERIES_COLOURS[index % len(SERIES_COLOURS)]


def scale_y(axes, values: np.ndarray, *, decades: float, percent: bool) -> None:
    """Choose the y axis: logarithmic if the values are positive and span many powers of ten.

    Args:
      axes: matplotlib axes in which the values are drawn.
      values: all values drawn, of any shape.
      decades: the axis is logarithmic if the values span this many powers of ten.
      percent: whether the values are fractions, to be labelled in percent.
    """
    factor, unit = (100, " %") if percent else (1, "")
    span = np.log10(values.max() / values.min()) if values.min() > 0 else 0
    if span >= decades:
        from matplotlib.ticker import LogLocator, NullLocator

        # The limits come from the values: a confidence band down to 0 would stretch the axis.
        axes.set(yscale="log", ylim=(values.min() / 1.6, values.max() * 1.4))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 2.5 else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
    elif values.min() >= 0:
        axes.set_ylim(0, 1.06 * axes.dataLim.y1 or 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{factor * value:.4g}{unit}")


def tidy(axes) -> None:
    """Remove two of the spines and make the others, the grid and the ticks pale."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c4c8ce")
    axes.grid(color="#e6e8eb", lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=draw.FAINT, length=3)


def thousands(number: float) -> str:
    """Abbreviate a count.

    Example:
      >>> thousands(500), thousands(12_000), thousands(1_500_000)
      ('500', '12k', '1.5M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
