"""Shared by all pictures: coordinates, colours, placing in inches, and writing a PNG.

matplotlib is imported inside functions, so that importing this package does not need it. pyplot
is not used, because it keeps every figure in global state.
"""

import io
from collections.abc import Sequence

import numpy as np

from attn_jax.errors import check_installed

# Colours of text, of secondary text, of a right prediction and of a wrong one.
INK = "#1f2328"
FAINT = "#6b7280"
RIGHT, WARNING = "#0072b2", "#b3261e"


def to_pixels(locations: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Convert locations to pixel coordinates, in which pixel centres are whole numbers.

    `p = ((x + 1) W - 1) / 2`: x = -1 is the outer edge of the first pixel, at p = -1/2.

    Args:
      locations: [..., 2] as (x, y) in [-1, 1].
      size: (height, width) of the image, pixels.

    Returns:
      [..., 2] as (column, row), pixels.

    Raises:
      ValueError: if the last axis of `locations` does not have length 2.

    Example:
      >>> to_pixels(np.array([0.0, -1.0]), (10, 28)).tolist()
      [13.5, -0.5]
    """
    locations = np.asarray(locations, np.float64)
    if locations.shape[-1:] != (2,):
        raise ValueError(f"locations must have shape [..., 2]; got {list(locations.shape)}")
    height, width = size
    return ((locations + 1) * (width, height) - 1) / 2


def patch_sizes(size: int, scales: int = 1, ratio: float = 2.0) -> tuple[float, ...]:
    """Return the side of the square that each scale of a retina covers, finest first.

    Args:
      size: side of the finest patch, pixels.
      scales: the number of patches of a glimpse.
      ratio: of the side of each patch to the next finer one's.

    Returns:
      `scales` sides, pixels.

    Example:
      >>> patch_sizes(12, scales=3)
      (12.0, 24.0, 48.0)
    """
    return tuple(float(size * ratio**i) for i in range(scales))


def to_rgb(images: np.ndarray) -> np.ndarray:
    """Convert images to RGB, clipped to [0, 1]: of two channels the first, of many the first three.

    Args:
      images: [..., C] in [0, 1].

    Returns:
      [..., 3] in [0, 1].
    """
    images = np.clip(np.asarray(images, np.float32), 0, 1)
    shown = images[..., :3] if images.shape[-1] >= 3 else images[..., :1]
    return np.broadcast_to(shown, (*shown.shape[:-1], 3))


def channels_shown(channels: int) -> str:
    """Say which channels `to_rgb` shows, where it is not all of them; otherwise "".

    >>> channels_shown(4)
    'Channels 1 to 3 of 4 are shown.'
    """
    if channels in (1, 3):
        return ""
    return (
        f"Channel 1 of {channels} is shown."
        if channels < 3
        else (f"Channels 1 to 3 of {channels} are shown.")
    )


def plain(text: str, longest: int = 32) -> str:
    """Shorten a user's text, and keep matplotlib from reading its dollars as mathematics.

    >>> plain("$5 and $10")
    '\\\\$5 and \\\\$10'
    """
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return short.replace("$", r"\$")


def spread(points: np.ndarray, gap: float, rounds: int = 60) -> np.ndarray:
    """Move points apart until no two are nearer than `gap`, so that their labels do not overlap.

    Args:
      points: [T, 2], any unit.
      gap: the least distance, in the same unit.
      rounds: the number of times that every pair is moved.

    Returns:
      [T, 2], near the given points.
    """
    # Points that coincide are first moved in different directions, by the golden angle.
    turns = 2.4 * np.arange(len(points))
    moved = points + 1e-3 * gap * np.stack([np.cos(turns), np.sin(turns)], -1)
    for _ in range(rounds):
        apart = moved[:, None] - moved
        distance = np.linalg.norm(apart, axis=-1) + 1e-9
        push = np.maximum(gap - distance, 0) / 2 * (distance > 1e-8)
        moved = moved + 0.5 * (apart / distance[..., None] * push[..., None]).sum(1)
    return moved


def time_colours(steps: int) -> np.ndarray:
    """Return colours for the steps, from dark to light, legible on black and on white.

    Args:
      steps: T, the number of steps.

    Returns:
      [T, 4], RGBA in [0, 1].
    """
    from matplotlib import colormaps

    return colormaps["plasma"](np.linspace(0.28, 0.92, steps))


def new_figure(width: float, height: float):
    """Make a white figure of this size in inches, drawn by Agg."""
    check_installed("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def panel(figure, left: float, top: float, width: float, height: float):
    """Add axes at a place in inches, measured from the figure's top left corner."""
    across, down = figure.get_size_inches()
    box = (left / across, 1 - (top + height) / down, width / across, height / down)
    return figure.add_axes(box)


def write(figure, left: float, top: float, text: str, **style):
    """Write text at a place in inches from the top left corner; its top is at `top`."""
    across, down = figure.get_size_inches()
    style = {"color": INK, "fontsize": 10, "va": "top", **style}
    return figure.text(left / across, 1 - top / down, text, **style)


def show(axes, image: np.ndarray) -> None:
    """Show one image [H, W, C] without interpolation, ticks or spines."""
    axes.imshow(to_rgb(image), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.autoscale(False)


def badge(axes, point: np.ndarray, number: int, colour: np.ndarray, fontsize: float = 7):
    """Write the number of a step in a disc of its colour."""
    light = float(np.dot(colour[:3], (0.299, 0.587, 0.114))) > 0.5
    disc = {"boxstyle": "circle,pad=0.2", "fc": colour, "ec": "black", "lw": 0.6}
    style = {"ha": "center", "va": "center_baseline", "fontsize": fontsize, "fontweight": "bold"}
    axes.text(*point, str(number), color="black" if light else "white", bbox=disc, **style)


def squares(axes, centre: np.ndarray, sizes: Sequence[float], colour: np.ndarray) -> None:
    """Outline the squares that one glimpse covers: the finest bold, the coarser ones thin.

    Args:
      centre: [2] as (column, row), pixels.
      sizes: the side of each patch, finest first, pixels.
      colour: RGBA.
    """
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    for i, size in enumerate(sizes):
        look = {"lw": 1.4} if i == 0 else {"lw": 0.6, "alpha": 0.55}
        corner = centre - size / 2
        square = Rectangle(corner, size, size, fill=False, ec=colour, gid="glimpse", **look)
        if i == 0:
            square.set_path_effects([withStroke(linewidth=2.2, foreground="black")])
        axes.add_patch(square)


def cloud(axes, samples: np.ndarray, mean: np.ndarray | None, size: tuple[int, int]) -> None:
    """Draw sampled locations as dots and their mean as a cross.

    Args:
      samples: [n, 2] as (x, y) in [-1, 1].
      mean: [2], as (x, y); None: no cross.
      size: (height, width) of the image shown, pixels.
    """
    axes.plot(*to_pixels(samples, size).T, "o", ms=2.4, mec="none", color="#56b4e9", gid="samples")
    if mean is not None:
        axes.plot(*to_pixels(mean, size), "+", ms=10, mew=2, color="#d55e00", gid="mean")


def to_png(figure, dpi: int = 150) -> bytes:
    """Draw a figure as a PNG. The same figure gives the same bytes.

    Args:
      figure: a matplotlib figure.
      dpi: pixels per inch.

    Returns:
      The file's bytes.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
