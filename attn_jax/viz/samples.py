"""Samples of a random choice: locations with their crops, and weights over items."""

from collections.abc import Sequence

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.axes import series_colour, tidy
from attn_jax.viz.checks import check_shapes

# Inches.
_IMAGE, _TILE, _GAP, _MARGIN, _HEAD = 1.85, 1.15, 0.1, 0.15, 0.24


def location_samples(
    image: np.ndarray,
    mean: np.ndarray,
    locations: np.ndarray,
    crops: np.ndarray,
    *,
    size: float,
    titles: Sequence[str],
):
    """Draw R rows: locations sampled with one spread, and the crops at the first of them.

    Args:
      image: [H, W, C] in [0, 1].
      mean: [2], (x, y), the same in all rows.
      locations: [R, N, 2], as (x, y) in [-1, 1].
      crops: [R, n, h, w, C] in [0, 1], at the first n locations of each row.
      size: the side of the square that a crop covers, pixels.
      titles: [R].

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: naming the argument whose shape is wrong.
    """
    lengths = check_shapes(
        image=(image, "H W C"),
        mean=(mean, "2"),
        locations=(locations, "R N 2"),
        crops=(crops, "R n h w C"),
        titles=(np.asarray(titles), "R"),
    )
    shown, row = lengths["n"], _HEAD + _IMAGE + 0.12
    strip = _MARGIN + _IMAGE + 0.3
    figure = draw.new_figure(strip + shown * (_TILE + _GAP) + 0.05, lengths["R"] * row + 0.08)
    colours = draw.time_colours(shown)
    for r, title in enumerate(titles):
        top = 0.08 + r * row
        draw.write(figure, _MARGIN, top, title, fontweight="bold")
        axes = draw.panel(figure, _MARGIN, top + _HEAD, _IMAGE, _IMAGE)
        draw.show(axes, image)
        for n, colour in enumerate(colours):
            draw.squares(axes, draw.to_pixels(locations[r, n], image.shape[:2]), [size], colour)
            left = strip + n * (_TILE + _GAP)
            tile = draw.panel(figure, left, top + _HEAD + (_IMAGE - _TILE) / 2, _TILE, _TILE)
            draw.show(tile, crops[r, n])
            tile.spines[:].set(visible=True, color=colour, linewidth=2)
        draw.cloud(axes, locations[r], mean, image.shape[:2])
    return figure


def weight_bars(rows: Sequence[tuple[str, np.ndarray]], *, across: int = 3):
    """Draw bar charts of weights over the same few items, all from 0 to 1.

    Args:
      rows: (title, weights [L]) of each panel.
      across: the number of panels side by side.

    Returns:
      A matplotlib figure.
    """
    width, height, head, foot, gap = 2.2, 1.2, 0.26, 0.4, 0.45
    down = -(-len(rows) // across)
    figure = draw.new_figure(across * (width + gap) + 0.1, down * (height + head + foot) + 0.1)
    for i, (title, weights) in enumerate(rows):
        left = gap + i % across * (width + gap)
        top = 0.1 + i // across * (height + head + foot)
        draw.write(figure, left, top, title, fontsize=9)
        axes = draw.panel(figure, left, top + head, width, height)
        axes.bar(np.arange(1, len(weights) + 1), weights, color=series_colour(0), width=0.72)
        tidy(axes)
        axes.set(ylim=(0, 1.02), xticks=np.arange(1, len(weights) + 1), yticks=[0, 0.5, 1])
    return figure
