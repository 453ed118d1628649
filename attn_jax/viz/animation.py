"""One rollout as an animation: where it looks, what it has seen, and its class probabilities."""

from collections.abc import Sequence

import numpy as np

from attn_jax.errors import check_installed
from attn_jax.viz import draw
from attn_jax.viz.checks import check_shapes, check_sizes
from attn_jax.viz.gif import frame, write_gif
from attn_jax.viz.paths import draw_path

UNSEEN = (0.20, 0.25, 0.36)  # blue, so that an unseen pixel is not taken for a dark one
_FRAME_MS, _LAST_MS, _DPI = 700, 2800, 100
# Inches.
_SIDE, _TOP, _BARS = 2.15, 0.72, 1.5
_MOST_CLASSES = 12
_LINE = ((0, 0), (0, 1), (0, 0))  # padding: one column of pixels at the right


def rollout_gif(
    image: np.ndarray,
    locations: np.ndarray,
    glimpses: np.ndarray,
    *,
    sizes: Sequence[float],
    label: int,
    probabilities: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
) -> bytes:
    """Animate one rollout, one frame for each glimpse; it loops, and the last frame stays longer.

    Args:
      image: [H, W, C] in [0, 1], C of 1 or 3.
      locations: [T, 2] as (x, y) in [-1, 1].
      glimpses: [T, k, g, g, C] in [0, 1], finest scale first.
      sizes: [k], sides of the squares that a glimpse covers, finest first, pixels
        (`patch_sizes`).
      label: the true class.
      probabilities: [T, K], of each class after each glimpse; None: no bars are drawn.
      class_names: [K], in the labels; None: the numbers of the classes.

    Returns:
      The bytes of a GIF. The same arguments give the same bytes.

    Raises:
      ValueError: naming the argument whose shape is wrong.
      ModuleNotFoundError: without the extra `attn_jax[experiments]`.
    """
    check_installed("matplotlib", "PIL")
    lengths = check_shapes(
        image=(image, "H W C"), locations=(locations, "T 2"), glimpses=(glimpses, "T k g g C")
    )
    check_sizes(sizes, lengths["k"])
    shown = []
    if probabilities is not None:
        check_shapes(locations=(locations, "T 2"), probabilities=(probabilities, "T K"))
        if not 0 <= label < len(probabilities[0]):
            raise ValueError(f"label must be in [0, {len(probabilities[0])}); got {label}")
        probabilities = np.asarray(probabilities)
        shown = _shown(probabilities, label)
    names = [str(c) if class_names is None else draw.plain(class_names[c]) for c in shown]
    bars = 4.8 + 0.1 * max(map(len, names), default=0)  # inches, wide enough for the longest name
    centres = draw.to_pixels(locations, image.shape[:2])
    frames = []
    for t in range(lengths["T"]):
        figure = draw.new_figure(bars + _BARS + 0.15 if shown else 4.75, _TOP + _SIDE + 1.05)
        _looks(figure, image, centres[: t + 1], glimpses[t], sizes, lengths["T"])
        title = f"glimpse {t + 1} of {lengths['T']}"
        if shown:
            title += _bars(figure, bars, probabilities[t, shown], names, shown.index(label))
        draw.write(figure, 0.15, 0.12, title, fontsize=12, fontweight="bold")
        frames.append(frame(figure, _DPI))
    return write_gif(frames, [_FRAME_MS] * (len(frames) - 1) + [_LAST_MS])


def seen(image: np.ndarray, centres: np.ndarray, size: float) -> np.ndarray:
    """Show the pixels that the finest patches have covered, and paint the others UNSEEN.

    Args:
      image: [H, W, C] in [0, 1].
      centres: [T, 2] as (column, row), pixels.
      size: the side of the finest patch, pixels.

    Returns:
      [H, W, 3] in [0, 1]; a pixel is covered if its centre lies in a patch.
    """
    height, width = image.shape[:2]
    columns = np.abs(np.arange(width) - centres[:, :1]) <= size / 2
    rows = np.abs(np.arange(height) - centres[:, 1:]) <= size / 2
    covered = (rows[:, :, None] & columns[:, None, :]).any(0)
    return np.where(covered[..., None], draw.to_rgb(image), np.float32(UNSEEN))


def _shown(probabilities: np.ndarray, label: int) -> list[int]:
    """Choose the classes that are most probable at some time, and the true one; sorted."""
    order = np.argsort(-probabilities.max(0), kind="stable")
    others = [int(c) for c in order if c != label]
    return sorted([label, *others[: _MOST_CLASSES - 1]])


def _looks(figure, image, centres, glimpse, sizes, steps: int) -> None:
    """Draw the image with the path so far, the pixels seen so far, and the present glimpse."""
    t, second = len(centres), 0.15 + _SIDE + 0.15
    colour = draw.time_colours(steps)[t - 1]
    for left, picture, text in (
        (0.15, image, "where it looks"),
        (second, seen(image, centres, sizes[0]), "seen sharply so far"),
    ):
        draw.write(figure, left, _TOP - 0.24, text, fontsize=11, color=draw.FAINT)
        axes = draw.panel(figure, left, _TOP, _SIDE, _SIDE)
        draw.show(axes, picture)
        if picture is image:
            draw_path(axes, centres, sizes, _SIDE, steps)
        else:
            draw.squares(axes, centres[-1], sizes[:1], colour)
    text = f"this glimpse:\n{', '.join(f'{size:g}' for size in sizes)} px wide"
    tile = min(0.7, _SIDE / len(sizes) - 0.06)
    draw.write(figure, 0.15, _TOP + _SIDE + 0.2, text, fontsize=11, color=draw.FAINT)
    # All patches in one image, a white line after each: axes for each would take more time.
    row = np.concatenate([np.pad(draw.to_rgb(p), _LINE, constant_values=1) for p in glimpse], 1)
    width = row.shape[1] / row.shape[0] * tile
    draw.show(draw.panel(figure, second, _TOP + _SIDE + 0.2, width, tile), row)


def _bars(figure, left: float, probabilities: np.ndarray, names: list[str], true: int) -> str:
    """Draw the class probabilities, the true class in bold; return the prediction in words."""
    axes = draw.panel(figure, left, _TOP, _BARS, _SIDE + 0.9)
    draw.write(figure, left, _TOP - 0.24, "probabilities", fontsize=11, color=draw.FAINT)
    read = int(probabilities.argmax())
    colours = ["#aab4c2"] * len(names)
    colours[read] = draw.RIGHT if read == true else draw.WARNING
    axes.barh(range(len(names)), probabilities, color=colours, height=0.72)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(names)), names, fontsize=11)
    axes.get_yticklabels()[true].set_fontweight("bold")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return f":  reads {names[read]} ({100 * probabilities[read]:.0f} %), true {names[true]}"
