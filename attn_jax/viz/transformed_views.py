"""Spatial transformers at work: where each reads in an input, and its output; over training too."""

from collections.abc import Sequence

import numpy as np

from attn_jax.errors import check_installed
from attn_jax.viz import draw
from attn_jax.viz.checks import check_shapes
from attn_jax.viz.gif import frame, write_gif
from attn_jax.viz.sampling_grid import colour_of, draw_grid, mark_corner, reach

# Inches; the longer side of an image and of a view.
_IMAGE, _VIEW, _GAP, _MARGIN, _LINE, _FOOT = 1.5, 1.4, 0.2, 0.15, 0.24, 0.4
_AROUND = "#dfe3e8"  # outside an image
_KEY = "dot and bold side: the top left corner\nand the top of what is read"
_DPI, _LAST_MS = 90, 2500


def transformed(
    images: np.ndarray,
    grids: np.ndarray,
    views: np.ndarray,
    *,
    titles: Sequence[str] | None = None,
):
    """Draw one row for each input: the outlines of what transformers read of it, their outputs.

    Transformers in parallel have a colour each. A dot marks the first corner of a sampling grid and
    a bold line its first row, in the input and in the output, so that a turn and a mirroring can be
    told apart. A grid that is not affine is shown with a few of its rows and columns. Outlines are
    shown outside the image too, up to 1.6 times its size. Volumes are shown by their brightest
    values along the depth.

    Args:
      images: [N, H, W, C] in [0, 1], or volumes [N, D, H, W, C].
      grids: [N, P, h, w, 2], (x, y) of P transformers with +-1 at the outer edges of border pixels
        (align_corners=False), or [N, P, d, h, w, 3] of volumes. Places that are not finite are
        left out.
      views: [N, P, h, w, C] in [0, 1], the outputs, or [N, P, d, h, w, C].
      titles: [N], above the rows; None: no titles.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: naming the argument whose shape is wrong.
    """
    images, grids, views = (np.asarray(array) for array in (images, grids, views))
    _check(images, grids, views, titles)
    return _picture(images, grids, views, titles, reach(grids))


def transforms_gif(
    images: np.ndarray,
    grids: np.ndarray,
    views: np.ndarray,
    steps: Sequence[int] | np.ndarray,
    *,
    titles: Sequence[str] | None = None,
    milliseconds: int = 250,
) -> bytes:
    """Animate `transformed` over training, one frame a step; it loops, the last frame stays longer.

    Args:
      images: [N, H, W, C] in [0, 1], or volumes [N, D, H, W, C].
      grids: [S, N, P, h, w, 2] or [S, N, P, d, h, w, 3].
      views: [S, N, P, h, w, C] or [S, N, P, d, h, w, C].
      steps: [S], the numbers of the steps.
      titles: [N], above the rows; None: no titles.
      milliseconds: that a frame is shown.

    Returns:
      The bytes of a GIF. The same arguments give the same bytes.

    Raises:
      ValueError: naming the argument whose shape is wrong, or for milliseconds below 20.
      ModuleNotFoundError: without the extra `attn_jax[experiments]`.
    """
    check_installed("matplotlib", "PIL")
    images, grids, views = (np.asarray(array) for array in (images, grids, views))
    _check(images, grids, views, titles, steps)
    if milliseconds < 20:  # many viewers show a shorter frame for a tenth of a second
        raise ValueError(f"milliseconds must be at least 20; got {milliseconds}")
    widest, frames = reach(grids), []
    for step, grid, view in zip(steps, grids, views, strict=True):
        figure = _picture(images, grid, view, titles, widest, f"step {step}")
        frames.append(frame(figure, _DPI))
    durations = [milliseconds] * (len(frames) - 1) + [max(_LAST_MS, milliseconds)]
    return write_gif(frames, durations)


def _check(images, grids, views, titles, steps=None) -> None:
    """Check the shapes; with steps, grids and views have an axis of them in front."""
    deep, rank = (("D ", "d "), 3) if images.ndim == 5 else (("", ""), 2)
    first, lead = ({}, "") if steps is None else ({"steps": (np.asarray(steps), "S")}, "S ")
    lengths = check_shapes(
        **first,
        images=(images, f"N {deep[0]}H W C"),
        grids=(grids, f"{lead}N P {deep[1]}h w {rank}"),
        views=(views, f"{lead}N P {deep[1]}h w C"),
    )
    if titles is not None and len(titles) != lengths["N"]:
        raise ValueError(f"titles must be {lengths['N']}, one for each image; got {len(titles)}")


def _picture(images, grids, views, titles, widest: float, caption: str = ""):
    """Draw the rows; `widest` of `reach`, `caption` in a line above all."""
    flat, seen = _projected(images, 4), _projected(views, 5)
    count, tall = seen.shape[1], 0.0 if titles is None else _LINE
    across, down = _sides(flat.shape[1:3], _IMAGE * widest)
    wide, high = _sides(seen.shape[2:4], _VIEW)
    row = tall + max(down, high) + _GAP
    top = _MARGIN + (_LINE + 0.06 if caption else 0)
    first = _MARGIN + across + 1.5 * _GAP
    width = first + count * (wide + _GAP)
    figure = draw.new_figure(max(width, 3.1), top + _LINE + len(flat) * row + _FOOT)
    if caption:
        draw.write(figure, _MARGIN, _MARGIN, caption, fontsize=12, fontweight="bold")
    _heads(figure, top, [first + p * (wide + _GAP) for p in range(count)])
    for n, image in enumerate(flat):
        above = top + _LINE + n * row
        if titles is not None:
            draw.write(figure, _MARGIN, above, draw.plain(titles[n], 80), fontsize=8)
        middle = above + tall + max(down, high) / 2
        _input(
            draw.panel(figure, _MARGIN, middle - down / 2, across, down), image, grids[n], widest
        )
        for p in range(count):
            left = first + p * (wide + _GAP)
            axes = draw.panel(figure, left, middle - high / 2, wide, high)
            _view(axes, seen[n, p], colour_of(p))
    foot = top + _LINE + len(flat) * row
    key = _KEY + ("; thin: the far face" if images.ndim == 5 else "")
    draw.write(figure, _MARGIN, foot - 0.04, key, fontsize=7.5, color=draw.FAINT)
    return figure


def _heads(figure, top: float, lefts: Sequence[float]) -> None:
    """Name the columns; one transformer needs no number."""
    several = len(lefts) > 1
    where = "where they read" if several else "where it reads"
    draw.write(figure, _MARGIN, top, where, fontsize=9, fontweight="bold")
    for p, left in enumerate(lefts):
        text = f"what {p + 1} reads" if several else "what it reads"
        draw.write(figure, left, top, text, fontsize=9, fontweight="bold")


def _input(axes, image: np.ndarray, grids: np.ndarray, widest: float) -> None:
    """Show an image with its surroundings, and the grids over it."""
    size = image.shape[:2]
    draw.show(axes, image)
    axes.set_facecolor(_AROUND)
    around = draw.to_pixels(widest * np.array([[-1, -1], [1, 1]]), size)
    axes.set(xlim=around[:, 0], ylim=around[::-1, 1])
    for p, grid in enumerate(grids):
        draw_grid(axes, grid, colour_of(p), size)


def _view(axes, view: np.ndarray, colour: str) -> None:
    """Show an output in a frame of its transformer's colour, marked as its grid is."""
    draw.show(axes, view)
    axes.spines[:].set(visible=True, color=colour, linewidth=1.5)
    axes.spines["top"].set_linewidth(3.2)
    mark_corner(axes, np.array([-0.5, -0.5]), colour, clip_on=False)


def _projected(images: np.ndarray, rank: int) -> np.ndarray:
    """Take the largest value along the depth, the fourth axis from the end, of volumes."""
    return images.max(-4) if images.ndim > rank else images


def _sides(size: tuple[int, int], longest: float) -> tuple[float, float]:
    """The width and height, inches, of (rows, columns) whose longer side is `longest`."""
    rows, columns = size
    return longest * columns / max(size), longest * rows / max(size)
