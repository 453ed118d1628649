"""A table of attention mechanisms: where each attends in an image, and what it reads there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.attention_map import attended

# Inches.
_IMAGE, _BETWEEN, _CELL, _HEAD, _MARGIN = 1.85, 0.42, 4.55, 0.56, 0.15
_MOST_ITEMS = 8  # on a side; the lines of a finer grid would hide the image


class MechanismPicture(NamedTuple):
    """One mechanism at one step: a cell of the table.

    Attributes:
      title: the name of the mechanism.
      equation: words or mathtext.
      where: as in `attention`, of one image at one step: [h, w], [2] or [2, 3]; None: the image
        alone is shown.
      kind: "weights", "point" or "theta".
      seen: [h', w', C], what was read, shown divided by its maximum; None: it is not shown.
      patch: of a point, the height and width of the glimpse, as fractions of the image's.
      samples: [n, 2], other points (x, y) drawn from the same policy; None: none are shown.
      mean: [2], of these samples.
    """

    title: str
    equation: str
    where: np.ndarray | None = None
    kind: str = "weights"
    seen: np.ndarray | None = None
    patch: tuple[float, float] = (0.25, 0.25)
    samples: np.ndarray | None = None
    mean: np.ndarray | None = None


def mechanism_table(image: np.ndarray, rows: Sequence[Sequence[MechanismPicture]]):
    """Draw a table of mechanisms on one image: where each attends, an arrow, what it reads.

    Args:
      image: [H, W, C] in [0, 1].
      rows: the cells of each row, the top row first.

    Returns:
      A matplotlib figure.
    """
    row, columns = _HEAD + _IMAGE + 0.22, max(map(len, rows))
    width = columns * _CELL - (_CELL - 2 * _IMAGE - _BETWEEN) + 2 * _MARGIN
    figure = draw.new_figure(width, len(rows) * row + 0.05)
    for i, cells in enumerate(rows):
        for j, one in enumerate(cells):
            _cell(figure, _MARGIN + j * _CELL, 0.1 + i * row, image, one)
    return figure


def _cell(figure, left: float, top: float, image: np.ndarray, one: MechanismPicture) -> None:
    draw.write(figure, left, top, one.title, fontweight="bold")
    draw.write(figure, left, top + 0.24, one.equation)
    axes = draw.panel(figure, left, top + _HEAD, _IMAGE, _IMAGE)
    if one.where is None:
        draw.show(axes, image)
    else:
        attended(axes, image, one.where, one.kind, one.patch)
        if one.kind == "weights" and max(one.where.shape) <= _MOST_ITEMS:
            _draw_grid(axes, image.shape[:2], one.where.shape)
    if one.samples is not None:
        draw.cloud(axes, one.samples, one.mean, image.shape[:2])
    if one.seen is not None:
        across = left + _IMAGE + _BETWEEN
        _arrow(figure, across - _BETWEEN / 2, top + _HEAD + _IMAGE / 2)
        light = one.seen / max(float(one.seen.max()), 1e-12)
        draw.show(draw.panel(figure, across, top + _HEAD, _IMAGE, _IMAGE), light)


def _arrow(figure, left: float, top: float) -> None:
    style = {"fontsize": 16, "color": draw.FAINT, "ha": "center", "va": "center"}
    draw.write(figure, left, top, "→", **style)


def _draw_grid(axes, size: tuple[int, int], grid: tuple[int, ...]) -> None:
    """Draw the lines between the items of an image of `size` (rows, columns)."""
    style = {"color": draw.FAINT, "lw": 0.8}
    for i in range(1, grid[0]):
        axes.axhline(i * size[0] / grid[0] - 0.5, **style)
    for j in range(1, grid[1]):
        axes.axvline(j * size[1] / grid[1] - 0.5, **style)
