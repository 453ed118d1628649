"""Pictures of handwritten digits, made to look like those of MNIST."""

import numpy as np
from jaxtyping import Float, UInt8

# MNIST was prepared so: the digit fills 20 of 28 pixels, with its centre of mass in the middle.
_FILLED = 20 / 28
_LEAST_CONTRAST = 0.1
_LEAST_OVER_NOISE = 4  # of the ink over the paper, in standard deviations of the paper


def as_digit(
    levels: UInt8[np.ndarray, "h w"], size: tuple[int, int], name: str
) -> tuple[UInt8[np.ndarray, "H W 1"], list[str]]:
    """Make light ink on black of a grey picture, and fit it if it has another size.

    A picture whose border is light is inverted. One of another size is cropped to the ink, its
    longer side scaled to 20/28 of the image's, its centre of mass put in the middle.

    Args:
      levels: 0 black to 255 white.
      size: (rows, columns) of the image.
      name: of the picture, in messages.

    Returns:
      The image, and what was done, in words.

    Raises:
      ValueError: if there is no ink on it.
    """
    values, done = levels.astype(np.float32) / 255, []
    if np.median(_border(values)) > 0.5:
        values = 1 - values
        done.append("dark on light, so inverted")
    ink = _ink(values, name)
    if values.shape != size:
        values = _fitted(values, ink, size)
        done.append(
            f"cropped to the ink, scaled to {round(_FILLED * min(size))} of {min(size)} pixels, "
            "centred"
        )
    return np.rint(255 * values).astype(np.uint8)[..., None], done


def _border(values: np.ndarray) -> np.ndarray:
    """The values of the outermost pixels."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]]).ravel()


def _ink(values: Float[np.ndarray, "h w"], name: str) -> np.ndarray:
    """Where there is ink: nearer to the lightest value than to the median.

    Raises:
      ValueError: where that is nowhere, or what noise and shadows of blank paper would give.
    """
    ink = values > 0.5 * (values.max() + np.median(values))
    contrast = float(np.ptp(values))
    if contrast < _LEAST_CONTRAST or not ink.any() or ink.all():
        raise ValueError(f"{name} has no ink: its greys span only {contrast:.2f} of 1")
    paper, noise = float(np.median(values[~ink])), float(values[~ink].std())
    if values[ink].mean() - paper < _LEAST_OVER_NOISE * noise:
        raise ValueError(f"{name} has no ink: its greys are those of uneven or noisy paper")
    return ink


def _fitted(values: np.ndarray, ink: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crop to the ink, scale its longer side to 20/28 of the image's, centre it by mass."""
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    cropped = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    paper = np.median(_border(values))
    cropped = np.clip((cropped - paper) / (cropped.max() - paper), 0, 1)
    scaled = _scaled(cropped, _FILLED * min(size) / max(cropped.shape))
    y, x = np.mgrid[: scaled.shape[0], : scaled.shape[1]] + 0.5
    mass = scaled / scaled.sum()
    return _in_canvas(scaled, size, np.array([(y * mass).sum(), (x * mass).sum()]))


def _scaled(values: np.ndarray, factor: float) -> np.ndarray:
    """Resize in floats: averaged over areas to shrink, interpolated to grow."""
    from PIL import Image

    height, width = (max(1, round(n * factor)) for n in values.shape)
    how = Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC
    plane = Image.fromarray(values.astype(np.float32)).resize((width, height), how)
    return np.clip(np.asarray(plane), 0, 1)


def _in_canvas(values: np.ndarray, size: tuple[int, int], centre: np.ndarray) -> np.ndarray:
    """Put values on a canvas of zeros, their `centre` (row, column) in its middle."""
    canvas = np.zeros(size, np.float32)
    top, left = np.rint(np.array(size) / 2 - centre).astype(int)
    rows = slice(max(top, 0), min(top + values.shape[0], size[0]))
    columns = slice(max(left, 0), min(left + values.shape[1], size[1]))
    canvas[rows, columns] = values[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return canvas
