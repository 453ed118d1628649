"""Attention between two texts: which characters each character of the output attended to."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.viz import draw

# Inches.
_CELL, _LEFT, _TOP, _GAP = 0.13, 0.3, 0.3, 0.22


class Alignment(NamedTuple):
    """One input text, the output text, and the attention between them.

    Attributes:
      source: the input, L characters.
      output: T characters.
      weights: [T, L], from each output character to the input, each at least 0.
      spans: [T, 2], the [start, end) of the input that determines each output character, drawn as
        a frame; none is drawn where the span is empty.
    """

    source: str
    output: str
    weights: np.ndarray
    spans: np.ndarray | None = None


def alignment(alignments: Sequence[Alignment]):
    """Draw one panel for each text, below one another.

    Rows are the characters of the output, columns those of the input; a darker cell has a larger
    weight.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if there is no text, or the weights of one are not [T, L].
    """
    if not alignments:
        raise ValueError("alignments must hold at least one; got none")
    for one in alignments:
        if one.weights.shape != (len(one.output), len(one.source)):
            raise ValueError(
                f"weights must be [{len(one.output)}, {len(one.source)}] for {one.output!r} from "
                f"{one.source!r}; got {list(one.weights.shape)}"
            )
    width = _LEFT + _CELL * max(len(one.source) for one in alignments) + 0.15
    heights = [_TOP + _CELL * len(one.output) + _GAP for one in alignments]
    figure = draw.new_figure(width, sum(heights))
    top = 0.0
    for one, height in zip(alignments, heights, strict=True):
        size = (_CELL * len(one.source), _CELL * len(one.output))
        _panel(draw.panel(figure, _LEFT, top + _TOP, *size), one)
        top += height
    return figure


def _panel(axes, one: Alignment) -> None:
    from matplotlib.patches import Rectangle

    rows, columns = one.weights.shape
    axes.imshow(one.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.xaxis.tick_top()
    axes.set_xticks(range(columns), list(one.source), fontsize=7, family="monospace")
    axes.set_yticks(range(rows), list(one.output), fontsize=7, family="monospace")
    axes.tick_params(length=0, pad=1)
    for side in axes.spines.values():
        side.set_color(draw.FAINT)
    for row, (start, end) in enumerate(one.spans if one.spans is not None else ()):
        if end > start:
            frame = Rectangle(
                (start - 0.5, row - 0.5), end - start, 1, fill=False, ec="#e69f00", lw=0.8
            )
            axes.add_patch(frame)
