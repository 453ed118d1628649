"""Several mechanisms on the same images: one row for each, with what every step attends to."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.attention_map import attended

# Inches.
_TILE, _GAP, _BETWEEN, _MARGIN, _LABEL, _HEAD = 0.62, 0.04, 0.2, 0.1, 1.2, 0.24


class Strip(NamedTuple):
    """One mechanism on N images: a row of the picture.

    Attributes:
      name: of the row.
      kind, where, patch: as in `attention`.
      predictions: [N], the predicted classes.
    """

    name: str
    kind: str
    where: np.ndarray
    patch: tuple[float, float]
    predictions: np.ndarray


def side_by_side(
    images: np.ndarray,
    strips: Sequence[Strip],
    labels: np.ndarray,
    class_names: Sequence[str] | None = None,
):
    """Draw the images, and below them one row for each mechanism with its steps on each image.

    Args:
      images: [N, H, W, C] in [0, 1].
      strips: at least one; all have the same number of steps.
      labels: [N], the true classes.
      class_names: [K], in the verdicts; None: the numbers of the classes.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if a strip does not have N images.
    """

    def called(c: int) -> str:
        return str(c) if class_names is None else draw.plain(class_names[c])

    for strip in strips:
        if len(strip.where) != len(images):
            raise ValueError(
                f"{strip.name!r} must be of {len(images)} images; got {len(strip.where)}"
            )
    steps = strips[0].where.shape[1]
    block = steps * (_TILE + _GAP) - _GAP
    width = 2 * _MARGIN + _LABEL + len(images) * (block + _BETWEEN)
    row = _HEAD + _TILE
    figure = draw.new_figure(width, 2 * _MARGIN + (len(strips) + 1) * row)
    for n, image in enumerate(images):
        left = _MARGIN + _LABEL + n * (block + _BETWEEN)
        draw.write(figure, left, _MARGIN + 0.04, f"true {called(int(labels[n]))}", fontsize=8)
        draw.show(draw.panel(figure, left, _MARGIN + _HEAD, _TILE, _TILE), image)
        for r, strip in enumerate(strips, start=1):
            top = _MARGIN + r * row
            right = strip.predictions[n] == labels[n]
            verdict = f"{'✓' if right else '✗'} read {called(int(strip.predictions[n]))}"
            colour = draw.INK if right else draw.WARNING
            draw.write(figure, left, top + 0.06, verdict, fontsize=7, color=colour)
            for t in range(steps):
                at = left + t * (_TILE + _GAP)
                axes = draw.panel(figure, at, top + _HEAD, _TILE, _TILE)
                attended(axes, image, strip.where[n, t], strip.kind, strip.patch)
    for r, strip in enumerate(strips, start=1):
        middle = _MARGIN + r * row + _HEAD + _TILE / 2
        draw.write(figure, _MARGIN, middle, strip.name, fontsize=8, va="center")
    return figure
