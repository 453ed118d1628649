"""Pictures made into the images of a data set: one way for training, measuring and asking."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from attn_jax.data.digit_picture import as_digit
from attn_jax.data.picture_files import decode, picture_info
from attn_jax.errors import check_name

# how a picture of other proportions is fitted -> the word for one that was
ASPECTS = {"stretch": "stretched", "pad": "padded", "crop": "cropped"}
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class Preparation(NamedTuple):
    """How a picture becomes an image: set by a source, kept by the runs trained on it.

    Attributes:
      size: (rows, columns) of the image.
      channels: 1 grey, 3 RGB, 4 RGB and opacity.
      aspect: a picture of other proportions is stretched; padded, so that all of it is seen; or
        cropped about its middle.
      background: level, 0 black to 255 white, behind what is transparent and beside what is padded.
      digit: whether it is a handwritten digit, made like those of MNIST: light on black, cropped to
        its ink, its longer side 20/28 of the image's, its centre of mass in the middle.
    """

    size: tuple[int, int]
    channels: int = 1
    aspect: str = "stretch"
    background: int = 255
    digit: bool = False

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Preparation":
        """The preparation that was kept as plain JSON."""
        return cls(**{**facts, "size": tuple(facts["size"])})


class PreparedPicture(NamedTuple):
    """A picture ready for a model.

    Attributes:
      image: uint8 [H, W, C].
      note: its size as a file and what was done to it, in words.
    """

    image: UInt8[np.ndarray, "H W C"]
    note: str


def prepare_picture(
    path: str | Path, how: Preparation, *, kept: tuple[int, int] | None = None
) -> PreparedPicture:
    """Read a picture and make an image of it.

    It is turned upright, converted to eight bits a channel, put on the background where it is
    transparent, and resized by an antialiased triangle filter.

    Args:
      path: a file that Pillow can open; of several frames the first is read.
      how: the preparation.
      kept: (rows, columns); a picture of this size keeps it.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it cannot be read, is too large, or is a digit without ink.
    """
    check_name("aspect", how.aspect, ASPECTS)
    if how.channels not in _MODES:
        raise ValueError(
            f"pictures become images of 1, 3 or 4 channels; the data have {how.channels}"
        )
    found = picture_info(path).size
    notes = ["{1}x{0}".format(*found)]
    if found == kept:
        how = how._replace(size=kept)
    as_large = how.digit or found == how.size
    picture = _flat(decode(path, None if as_large else how.size), how)
    if how.digit:
        image, done = as_digit(np.asarray(picture), how.size, str(path))
        return PreparedPicture(image, ", ".join(notes + done))
    if found != how.size:
        picture = _fitted(picture, how)
        notes.append("{2} to {1}x{0}".format(*how.size, ASPECTS[how.aspect]))
    image = np.asarray(picture).reshape(*how.size, how.channels)
    return PreparedPicture(image, ", ".join(notes))


def _flat(picture: Any, how: Preparation) -> Any:
    """Put a picture on the background, if its opacity is not kept, and convert its mode."""
    from PIL import Image

    mode = _MODES[how.channels]
    if mode != "RGBA" and picture.mode in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, (*3 * [how.background], 255))
        picture = Image.alpha_composite(paper, picture)
    return picture.convert(mode)


def _fitted(picture: Any, how: Preparation) -> Any:
    """Resize a picture to the image's size."""
    from PIL import Image, ImageOps

    size, filter_ = how.size[::-1], Image.Resampling.BILINEAR
    if how.aspect == "stretch":
        return picture.resize(size, filter_)
    if how.aspect == "crop":
        return ImageOps.fit(picture, size, filter_)
    colours = {1: how.background, 3: 3 * (how.background,), 4: (*3 * [how.background], 0)}
    return ImageOps.pad(picture, size, filter_, color=colours[how.channels])
