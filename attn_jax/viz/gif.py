"""Writing figures of one size as the frames of a GIF."""

import io
from collections.abc import Sequence

import numpy as np

_COLOURS, _GREYS = 96, 32
_COUNTED = 12  # frames whose colours are counted; counting those of all frames would take long


def frame(figure, dpi: int):
    """Draw a figure into a PIL image."""
    from PIL import Image

    figure.set_dpi(dpi)
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())


def write_gif(frames: Sequence, durations: Sequence[int]) -> bytes:
    """Write frames with one palette: the file is smaller and colours do not flicker. It loops.

    Args:
      frames: PIL images of one size, at least one.
      durations: of each frame, milliseconds.

    Returns:
      The file's bytes. The same frames give the same bytes.
    """
    from PIL import Image

    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette(frames).ravel().tolist())
    first, *others = (f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames)
    buffer = io.BytesIO()
    look = {"duration": list(durations), "loop": 0, "disposal": 1}
    first.save(buffer, "GIF", save_all=True, append_images=others, **look)
    return buffer.getvalue()


def _palette(frames: Sequence) -> np.ndarray:
    """Choose at most 128 colours [n, 3] for all frames."""
    from PIL import Image

    chosen = np.unique(np.linspace(0, len(frames) - 1, _COUNTED).round().astype(int))
    tall = Image.fromarray(np.concatenate([np.asarray(frames[i]) for i in chosen]))
    counted = tall.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT).getpalette()
    colours = np.reshape(counted[: 3 * _COLOURS], (-1, 3))
    # Median cut has no pure white and tints greys, so greys are replaced by even steps from black
    # to white.
    colours = colours[np.ptp(colours, axis=1) > 12]
    greys = np.linspace(0, 255, _GREYS).round().astype(int)[:, None].repeat(3, axis=1)
    return np.concatenate([greys, colours])
