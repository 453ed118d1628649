"""The path of a model's glimpses over images, and what each glimpse saw."""

from collections.abc import Sequence

import numpy as np

from attn_jax.viz import draw
from attn_jax.viz.checks import check_shapes, check_sizes

# Inches.
_IMAGE, _PLAIN, _TITLE, _MARGIN, _BADGE = 2.7, 1.3, 0.36, 0.15, 0.26
_STRIP_WIDTH, _LARGEST_TILE = 4.4, 1.05


def glimpse_paths(
    images: np.ndarray,
    locations: np.ndarray,
    glimpses: np.ndarray,
    labels: np.ndarray | None,
    predictions: np.ndarray,
    *,
    sizes: Sequence[float],
    class_names: Sequence[str] | None = None,
):
    """Draw one row for each image: the path of the glimpses over it, and what each glimpse saw.

    Later glimpses are lighter. A wrong prediction is marked by a cross and by red text.

    Args:
      images: [N, H, W, C] in [0, 1], C of 1 or 3.
      locations: [N, T, 2] as (x, y) in [-1, 1], the centres of the glimpses.
      glimpses: [N, T, k, g, g, C] in [0, 1], finest scale first.
      labels: [N], the true classes; None: they are not known.
      predictions: [N], the predicted classes.
      sizes: [k], sides of the squares that a glimpse covers, finest first, pixels
        (`patch_sizes`).
      class_names: [K], in the titles; None: the numbers of the classes.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: naming the argument whose shape is wrong.
    """
    lengths = check_shapes(
        images=(images, "N H W C"),
        locations=(locations, "N T 2"),
        glimpses=(glimpses, "N T k g g C"),
        labels=(predictions if labels is None else labels, "N"),
        predictions=(predictions, "N"),
    )
    check_sizes(sizes, lengths["k"])
    g = lengths["g"]
    cell = 1 + _gap(g) / g
    columns, tile = _arrange(lengths["T"], lengths["k"], cell)
    # Squares of several scales hide much of the image, so it is shown without them too.
    several = lengths["k"] > 1
    left = _MARGIN + (_PLAIN + 0.1 if several else 0)
    strip = left + _IMAGE + (0.75 if several else 0.3)
    row = _TITLE + _IMAGE + 0.2
    width = strip + columns * tile * cell + _MARGIN
    figure = draw.new_figure(max(width, 4.5), lengths["N"] * row + 0.05)
    for n, image in enumerate(images):
        top = n * row + _TITLE
        label = None if labels is None else int(labels[n])
        _title(figure, n * row + 0.08, label, int(predictions[n]), class_names)
        if several:
            draw.show(draw.panel(figure, _MARGIN, top, _PLAIN, _PLAIN), image)
        axes = draw.panel(figure, left, top, _IMAGE, _IMAGE)
        draw.show(axes, image)
        draw_path(axes, draw.to_pixels(locations[n], image.shape[:2]), sizes, _IMAGE)
        _strip(figure, strip, top, glimpses[n], sizes, columns, tile)
    return figure


def draw_path(
    axes, centres: np.ndarray, sizes: Sequence[float], inches: float, steps: int | None = None
) -> None:
    """Draw the squares, the line and the numbers of a path over an image.

    Args:
      axes: matplotlib axes in which the image is shown.
      centres: [T, 2] as (column, row), pixels.
      sizes: the sides of the squares, finest first, pixels.
      inches: the side of the axes; the numbers are kept apart by it.
      steps: the length of the whole path, of which `centres` is the beginning; None: T.
    """
    colours = draw.time_colours(steps or len(centres))[: len(centres)]
    for centre, colour in zip(centres, colours, strict=True):
        draw.squares(axes, centre, sizes, colour)
    axes.plot(*centres.T, color="black", lw=2.0, solid_joinstyle="round")
    axes.plot(*centres.T, color="white", lw=0.9, solid_joinstyle="round")
    left, right = axes.get_xlim()
    numbers = draw.spread(centres, gap=0.17 / inches * (right - left))
    for t, (number, colour) in enumerate(zip(numbers, colours, strict=True)):
        draw.badge(axes, number, t + 1, colour)


def _title(
    figure, top: float, label: int | None, prediction: int, names: Sequence[str] | None
) -> None:
    def called(c: int) -> str:
        return str(c) if names is None else draw.plain(names[c])

    wrong = label is not None and label != prediction
    text, colour = f"read {called(prediction)}", draw.WARNING if wrong else draw.INK
    if label is not None:
        text = f"{'✗' if wrong else '✓'}  true {called(label)}, {text}"
    draw.write(figure, _MARGIN, top, text, color=colour, fontweight="bold")


def _gap(g: int) -> int:
    """The space between tiles: an eighth of a tile, in whole pixels of the glimpse."""
    return max(1, g // 8)


def _arrange(steps: int, scales: int, cell: float) -> tuple[int, float]:
    """Wrap the glimpses into rows so that tiles are largest: (columns, side of a tile, inches)."""

    def tile(rows: int) -> float:
        columns = -(-steps // rows)
        tall = (_IMAGE / rows - _BADGE) / scales
        return min(_LARGEST_TILE, _STRIP_WIDTH / columns / cell, tall / cell)

    rows = max(range(1, steps + 1), key=tile)
    return -(-steps // rows), tile(rows)


def _mosaic(glimpses: np.ndarray, columns: int, head: int) -> tuple[np.ndarray, np.ndarray]:
    """Put all patches into one image, `head` rows of white above each glimpse.

    Returns:
      The image [H, W, 3], and the (column, row) of the first pixel of each patch [T, k, 2].
    """
    steps, scales, g = glimpses.shape[:3]
    cell = g + _gap(g)
    block = head + scales * cell
    canvas = np.ones((-(-steps // columns) * block, columns * cell, 3), np.float32)
    corners = np.zeros((steps, scales, 2), int)
    for t, i in np.ndindex(steps, scales):
        x, y = t % columns * cell, t // columns * block + head + i * cell
        canvas[y : y + g, x : x + g] = draw.to_rgb(glimpses[t, i])
        corners[t, i] = x, y
    return canvas, corners


def _strip(figure, left, top, glimpses, sizes, columns: int, tile: float) -> None:
    """Draw the patches of each glimpse under its number, beside the image."""
    from matplotlib.patches import Rectangle

    g = glimpses.shape[2]
    inch, head = tile / g, round(_BADGE / tile * g)
    canvas, corners = _mosaic(glimpses, columns, head)
    height, width = canvas.shape[0] * inch, canvas.shape[1] * inch
    axes = draw.panel(figure, left, top + (_IMAGE - height) / 2, width, height)
    draw.show(axes, canvas)
    for t, colour in enumerate(draw.time_colours(len(glimpses))):
        for corner in corners[t] - 0.5:
            axes.add_patch(Rectangle(corner, g, g, fill=False, ec=colour, lw=1.6))
        draw.badge(axes, corners[t, 0] + ((g - 1) / 2, -head / 2 - 0.5), t + 1, colour)
    if len(sizes) > 1:
        style = {"ha": "right", "va": "center", "fontsize": 8, "color": draw.FAINT}
        for size, (x, y) in zip(sizes, corners[0], strict=True):
            axes.text(x - 0.5 - 0.1 / inch, y + (g - 1) / 2, f"{size:g} px", **style)
