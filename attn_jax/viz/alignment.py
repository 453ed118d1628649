"""Which characters of a text each character of the answer looked at."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.viz import draw

_CELL, _LEFT, _TOP, _GAP = 0.13, 0.3, 0.3, 0.22


class Alignment(NamedTuple):
    """One text and its answer.

    Attributes:
      read: L characters.
      said: T characters.
      weights: [T, L], each at least 0.
      spans: [T, 2], [start, end) of what decides each character, framed; empty for nothing.
    """

    read: str
    said: str
    weights: np.ndarray
    spans: np.ndarray | None = None


def alignment(alignments: Sequence[Alignment]):
    """Draw a panel a text, below one another: rows are said, columns are read, dark is heavy.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if there is nothing to draw, or weights are not [T, L] of their text.
    """
    if not alignments:
        raise ValueError("alignments must hold at least one; got none")
    for one in alignments:
        if one.weights.shape != (len(one.said), len(one.read)):
            raise ValueError(
                f"weights must be [{len(one.said)}, {len(one.read)}] for {one.said!r} of "
                f"{one.read!r}; got {list(one.weights.shape)}"
            )
    width = _LEFT + _CELL * max(len(one.read) for one in alignments) + 0.15
    heights = [_TOP + _CELL * len(one.said) + _GAP for one in alignments]
    figure = draw.new_figure(width, sum(heights))
    top = 0.0
    for one, height in zip(alignments, heights, strict=True):
        size = (_CELL * len(one.read), _CELL * len(one.said))
        _panel(draw.panel(figure, _LEFT, top + _TOP, *size), one)
        top += height
    return figure


def _panel(axes, one: Alignment) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = one.weights.shape
    axes.imshow(one.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks(range(columns), list(one.read), fontsize=7, family="monospace")
    axes.set_yticks(range(rows), list(one.said), fontsize=7, family="monospace")
    axes.tick_params(length=0, pad=1)
    for side in axes.spines.values():
        side.set_color(draw.FAINT)
    for row, (start, end) in enumerate(one.spans if one.spans is not None else ()):
        if end > start:
            frame = Rectangle(
                (start - 0.5, row - 0.5), end - start, 1, fill=False, ec="#e69f00", lw=0.8
            )
            axes.add_patch(frame)
