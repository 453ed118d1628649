"""A user's own image, prepared to look like the images that the model was trained on."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

# MNIST was prepared so: the digit fills 20 of 28 pixels, with its centre of mass in the middle.
_FILLED = 20 / 28


class UserImage(NamedTuple):
    """An image ready for the model.

    Attributes:
      image: [size, size, C], float32 in [0, 1].
      note: its size as a file and what was done to it, in words.
    """

    image: np.ndarray
    note: str


def load_user_image(path: str | Path, size: int, channels: int) -> UserImage:
    """Read an image file and fit it to the canvas; a grey one becomes light ink on black.

    Args:
      path: a file that pillow can open.
      size: the side of the square canvas, pixels.
      channels: 1: grey, treated as a digit of MNIST: inverted if its border is light, cropped to
        the ink, scaled to 20/28 of the canvas, its centre of mass in the middle. 3: RGB, scaled to
        fit. An image that has the size of the canvas is neither scaled nor moved.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not an image, or has no ink.
    """
    picture = _open(Path(path), channels)
    notes = [f"{picture.width}x{picture.height}"]
    values = np.asarray(picture, np.float32) / 255
    values = values.reshape(picture.height, picture.width, channels)
    if channels == 1:
        if np.median(_border(values)) > 0.5:
            values = 1 - values
            notes.append("dark on light, so inverted")
        if values.shape[:2] != (size, size):
            values = _as_digit(values, size, str(path))
            notes.append(
                f"cropped to the ink, scaled to {round(_FILLED * size)} of {size} pixels, centred"
            )
    elif values.shape[:2] != (size, size):
        values = _scaled(values, size / max(values.shape[:2]))
        values = _in_canvas(values, size, np.array(values.shape[:2]) / 2)
        notes.append(f"scaled to fit {size}x{size}")
    return UserImage(values.astype(np.float32), ", ".join(notes))


def _open(path: Path, channels: int):
    """Open a file as a PIL image, grey or RGB, on white where it is transparent."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not an image that can be read: {error}") from error
    # Without white behind it, black ink on a transparent ground would be black on black.
    paper = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(paper, picture).convert("L" if channels == 1 else "RGB")


def _border(values: np.ndarray) -> np.ndarray:
    """The values of the outermost pixels."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]]).ravel()


def _as_digit(values: np.ndarray, size: int, name: str) -> np.ndarray:
    """Crop to the ink, scale its longer side to 20/28 of the canvas, centre it by mass."""
    grey = values[..., 0]
    ink = grey > 0.5 * (grey.max() + np.median(grey))
    if grey.max() - grey.min() < 0.1 or not ink.any():
        raise ValueError(f"{name} has no ink: its greys span only {np.ptp(grey):.2f} of 1")
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    cropped = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, None]
    paper = np.median(_border(values))
    cropped = np.clip((cropped - paper) / (cropped.max() - paper), 0, 1)
    scaled = _scaled(cropped, _FILLED * size / max(cropped.shape[:2]))
    y, x = np.mgrid[: scaled.shape[0], : scaled.shape[1]] + 0.5
    mass = scaled[..., 0] / scaled.sum()
    return _in_canvas(scaled, size, np.array([(y * mass).sum(), (x * mass).sum()]))


def _scaled(values: np.ndarray, factor: float) -> np.ndarray:
    """Resize each channel in floats: averaged over areas to shrink, interpolated to grow."""
    from PIL import Image

    height, width = (max(1, round(n * factor)) for n in values.shape[:2])
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(values, -1, 0)]
    planes = [np.asarray(plane.resize((width, height), how)) for plane in planes]
    return np.clip(np.stack(planes, axis=-1), 0, 1)


def _in_canvas(values: np.ndarray, size: int, centre: np.ndarray) -> np.ndarray:
    """Put values on a canvas of zeros, their `centre` (row, column) in its middle."""
    canvas = np.zeros((size, size, values.shape[-1]), np.float32)
    top, left = np.rint(size / 2 - centre).astype(int)
    rows = slice(max(top, 0), min(top + values.shape[0], size))
    columns = slice(max(left, 0), min(left + values.shape[1], size))
    canvas[rows, columns] = values[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return canvas
