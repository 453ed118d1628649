"""What the line plots share: series told apart, and axes that suit their values."""

import numpy as np

from attn_jax.viz import draw

# Okabe and Ito's colours, told apart under every common colour blindness.
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def series_colour(index: int) -> str:
    """Give the colour of a series; they begin again after six."""
    return SERIES_COLOURS[index % len(SERIES_COLOURS)]


def scale_y(axes, values: np.ndarray, *, decades: float, percent: bool) -> None:
    """Choose a y axis for what is drawn: logarithmic where positive values span decades.

    Args:
      axes: where the values are drawn.
      values: all of them, any shape.
      decades: how many powers of ten make an axis logarithmic.
      percent: whether values are fractions, to be written in percent.
    """
    factor, unit = (100, " %") if percent else (1, "")
    span = np.log10(values.max() / values.min()) if values.min() > 0 else 0
    if span >= decades:
        from matplotlib.ticker import LogLocator, NullLocator

        # Limits from the values: an interval that reaches down to 0 would stretch the axis.
        axes.set(yscale="log", ylim=(values.min() / 1.6, values.max() * 1.4))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 2.5 else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
    elif values.min() >= 0:
        axes.set_ylim(0, 1.06 * axes.dataLim.y1 or 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{factor * value:.4g}{unit}")


def tidy(axes) -> None:
    """Leave two thin spines and a pale grid, so that the data is what one sees."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c4c8ce")
    axes.grid(color="#e6e8eb", lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=draw.FAINT, length=3)


def thousands(number: float) -> str:
    """Write a count shortly.

    Example:
      >>> thousands(500), thousands(12_000), thousands(1_500_000)
      ('500', '12k', '1.5M')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
