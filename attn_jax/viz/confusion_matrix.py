"""Which classes are taken for which."""

from collections.abc import Sequence

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.checks import check_shapes

# Inches.
_CELL, _LARGEST, _LETTER, _MARGIN = 0.42, 12.0, 0.085, 0.15
_WRITTEN, _NAMED = 24, 80  # classes: of more, cells are too small for numbers, and for names


def confusion(counts: np.ndarray, class_names: Sequence[str]):
    """Draw a confusion matrix: darker cells hold more of their row's class.

    Args:
      counts: whole numbers [K, K], of examples of each true class (rows) by the answer (columns).
      class_names: [K].

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: naming the argument whose shape is wrong.
    """
    lengths = check_shapes(counts=(counts, "K K"), class_names=(np.array(class_names), "K"))
    classes = lengths["K"]
    cell = min(_CELL, _LARGEST / classes)
    names = [draw.plain(name) if classes <= _NAMED else "" for name in class_names]
    words = _LETTER * max(map(len, names)) + 0.3
    left, top, side = _MARGIN + 0.25 + words, _MARGIN + 0.25 + words, classes * cell
    figure = draw.new_figure(left + side + _MARGIN, top + side + _MARGIN)
    axes = draw.panel(figure, left, top, side, side)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="answer", ylabel="class")
    axes.xaxis.set_label_position("top")
    size = min(9, 60 * cell)  # points
    axes.set_xticks(range(classes), names, rotation=90, fontsize=size)
    axes.set_yticks(range(classes), names, fontsize=size)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    if classes <= _WRITTEN:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else draw.INK
            axes.text(
                column, row, str(count) if count else "", ha="center", va="center", fontsize=8,
                color=colour,
            )  # fmt: skip
    return figure
