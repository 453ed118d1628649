"""A user's own picture, made to look like what the model was trained on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

# MNIST's own preparation: the digit fills 20 of 28 pixels, its centre of mass in the middle.
_INK = 20 / 28


class Own(NamedTuple):
    """A picture ready for the model.

    Attributes:
      image: [size, size, C] float32 in [0, 1].
      said: what was done to it, in words.
    """

    image: np.ndarray
    said: str


def load_own(path: str | Path, size: int, channels: int) -> Own:
    """Read a picture and fit it to the canvas; grey ones become light ink on black, as in MNIST.

    Args:
      path: a file that pillow can open.
      size: of the square canvas, pixels.
      channels: 1: grey, treated as a digit: polarity by its border, cropped to the ink, scaled to
        20/28 of the canvas, centred by mass. 3: RGB, scaled to fit. A picture that already has
        the canvas's size is not moved.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is no image, or has no ink.
    """
    picture = _open(Path(path), channels)
    said = [f"{picture.width}x{picture.height}"]
    values = np.asarray(picture, np.float32) / 255
    values = values.reshape(picture.height, picture.width, channels)
    if channels == 1:
        if np.median(_border(values)) > 0.5:
            values, said = 1 - values, [*said, "dark on light, so inverted"]
        if values.shape[:2] != (size, size):
            values = _as_digit(values, size, str(path))
            said.append(
                f"cropped to the ink, scaled to {round(_INK * size)} of {size} pixels, centred"
            )
    elif values.shape[:2] != (size, size):
        values = _scaled(values, size / max(values.shape[:2]))
        values = _in_canvas(values, size, np.array(values.shape[:2]) / 2)
        said.append(f"scaled to fit {size}x{size}")
    return Own(values.astype(np.float32), ", ".join(said))


def _open(path: Path, channels: int):
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not an image that can be read: {error}") from error
    # Transparency is paper: without this, ink drawn on it would be black on black.
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("L" if channels == 1 else "RGB")


def _border(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]]).ravel()


def _as_digit(values: np.ndarray, size: int, name: str) -> np.ndarray:
    """Crop to the ink, scale its longer side to 20/28 of the canvas, centre its mass."""
    grey = values[..., 0]
    ink = grey > 0.5 * (grey.max() + np.median(grey))
    if grey.max() - grey.min() < 0.1 or not ink.any():
        raise ValueError(f"{name} has no ink: its greys span only {np.ptp(grey):.2f} of 1")
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    cropped = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, None]
    paper = np.median(_border(values))
    cropped = np.clip((cropped - paper) / (cropped.max() - paper), 0, 1)
    scaled = _scaled(cropped, _INK * size / max(cropped.shape[:2]))
    y, x = np.mgrid[: scaled.shape[0], : scaled.shape[1]] + 0.5
    mass = scaled[..., 0] / scaled.sum()
    return _in_canvas(scaled, size, np.array([(y * mass).sum(), (x * mass).sum()]))


def _scaled(values: np.ndarray, factor: float) -> np.ndarray:
    """Resized in floats, channel by channel: by area when it shrinks."""
    from PIL import Image

    height, width = (max(1, round(n * factor)) for n in values.shape[:2])
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(values, -1, 0)]
    planes = [np.asarray(plane.resize((width, height), how)) for plane in planes]
    return np.clip(np.stack(planes, axis=-1), 0, 1)


def _in_canvas(values: np.ndarray, size: int, centre: np.ndarray) -> np.ndarray:
    """Zeros with `values` laid so that its `centre` comes to the middle, cut at the edges."""
    canvas = np.zeros((size, size, values.shape[-1]), np.float32)
    top, left = np.rint(size / 2 - centre).astype(int)
    rows = slice(max(top, 0), min(top + values.shape[0], size))
    columns = slice(max(left, 0), min(left + values.shape[1], size))
    canvas[rows, columns] = values[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return canvas
