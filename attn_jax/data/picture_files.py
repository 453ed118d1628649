"""Picture files: found to be pictures, measured, and decoded upright with eight bits a channel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from attn_jax.errors import check_installed

MOST_PIXELS = 89_478_485  # Pillow's own limit; decoded they have up to 4 bytes each
_MANY_PIXELS = 2**24
_GREYS = ("1", "L", "LA", "La")
_MODES = (*_GREYS, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_one_large = Lock()  # so that threads together need the memory of one


class PictureInfo(NamedTuple):
    """The size and kind of a picture, as the head of its file has them.

    Attributes:
      size: (rows, columns) of the upright picture.
      grey: whether its mode has no colours.
    """

    size: tuple[int, int]
    grey: bool


def is_picture(path: Path) -> bool:
    """Whether a file is one that Pillow knows, by its suffix or, of other names, by its head."""
    check_installed("PIL")
    from PIL import Image

    if path.suffix.lower() in Image.registered_extensions():
        return True
    try:
        with _open(path):
            return True
    except ValueError:
        return False


def picture_info(path: str | Path) -> PictureInfo:
    """The size and mode of a picture, from the head of its file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a picture that Pillow reads.
    """
    with _open(path) as picture:
        columns, rows = picture.size
        # Pillow turns a TIFF upright by itself, and gives its upright size.
        turned = picture.format != "TIFF" and _orientation(picture) >= 5
        size = (columns, rows) if turned else (rows, columns)
        return PictureInfo(size, picture.mode in _GREYS or picture.mode.startswith("I"))


def decode(path: str | Path, least: tuple[int, int] | None = None) -> Any:
    """Decode a file to an upright PIL image of mode L, LA, RGB or RGBA.

    Of several frames the first is decoded. 16-bit levels are scaled to 8 bits. A JPEG that is much
    larger than needed is decoded at a half, a quarter or an eighth of its size, by its own
    transform.

    Args:
      path: the file.
      least: (rows, columns) that are needed; what is decoded is at least twice as large, or as
        large as the file. None: as large as the file.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a picture that Pillow reads, has values of 32 bits, whose range is
        unknown, or more than MOST_PIXELS pixels.
    """
    with _open(path) as picture:
        if least is not None:
            side = 2 * max(least)
            picture.draft(None, (side, side))
        pixels = picture.width * picture.height
        if pixels > MOST_PIXELS:
            raise TooLarge(path, f"{picture.width:,} x {picture.height:,}")
        if pixels <= _MANY_PIXELS:
            return _upright(picture, path)
        with _one_large:
            return _upright(picture, path)


class UnsupportedMode(ValueError):
    """A picture's values have no known range, or no conversion to colours."""


class TooLarge(ValueError):
    """A picture has more pixels than are decoded."""

    def __init__(self, path: str | Path, pixels: str):
        super().__init__(
            f"{path} has {pixels} pixels; at most {MOST_PIXELS:,} are decoded, or those of a JPEG "
            "at an eighth of its size: make it smaller first"
        )


@contextmanager
def _open(path: str | Path) -> Iterator[Any]:
    """Open a file without decoding it."""
    check_installed("PIL")
    from PIL import Image, UnidentifiedImageError
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        # A file, not its name: by name Pillow maps uncompressed TIFFs into memory, and those that
        # lie on a side then come out scrambled.
        with open(path, "rb") as file:
            is_jpeg = file.read(2) == b"\xff\xd8"
            file.seek(0)
            # Pillow refuses large pictures as it opens them, but a JPEG need not be decoded whole.
            with JpegImageFile(file) if is_jpeg else Image.open(file) as picture:
                yield picture
    except (UnsupportedMode, TooLarge):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}") from error
    except IsADirectoryError as error:
        raise ValueError(f"expected a picture; {path} is a folder") from error
    except UnidentifiedImageError as error:
        raise ValueError(
            f"expected a picture that Pillow reads; {path} is not one: its format is unknown"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(path, "more") from error
    except Exception as error:  # Pillow raises many kinds of error on damaged files
        raise _no_picture(path, error) from error


def _no_picture(path: str | Path, error: Exception) -> ValueError:
    reason = str(error).partition("\n")[0].replace(os.fspath(path), "it")
    return ValueError(f"expected a picture that Pillow reads; {path} is not one: {reason}")


def _orientation(picture: Any) -> int:
    """The orientation tag that cameras write: 1 upright, 5 to 8 lying on a side."""
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # a damaged tag is no tag
        return 1


def _upright(picture: Any, path: str | Path) -> Any:
    """Decode, with eight bits a channel, turned as its orientation tag says."""
    from PIL import Image

    picture.load()  # which turns a TIFF, and takes its tag away
    turns = Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
        6: turns.ROTATE_270, 7: turns.TRANSVERSE, 8: turns.ROTATE_90,
    }.get(_orientation(picture))  # fmt: skip
    levels = _eight_bits(picture, path)
    return levels if turn is None else levels.transpose(turn)


def _eight_bits(picture: Any, path: str | Path) -> Any:
    """Convert any mode to L, LA, RGB or RGBA."""
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and picture.format == "PNG"):
        return _from_sixteen_bits(picture)
    if mode in ("I", "F"):
        kind = "whole" if mode == "I" else "real"
        raise UnsupportedMode(
            f"expected 8 or 16 bits a channel; {path} has 32-bit {kind} numbers (mode {mode}), "
            "whose range is unknown"
        )
    if mode not in _MODES:
        raise UnsupportedMode(
            f"{path} has mode {mode}; the modes that are read are {', '.join(_MODES)} and I;16"
        )
    grey = mode in _GREYS
    wanted = ("LA" if grey else "RGBA") if picture.has_transparency_data else "L" if grey else "RGB"
    return (picture.convert("LA") if mode == "La" else picture).convert(wanted)


def _from_sixteen_bits(picture: Any) -> Any:
    """65,535 becomes 255; a transparent level becomes a mask."""
    from PIL import Image

    values = np.asarray(picture).astype(np.int64)
    levels = Image.fromarray(np.rint(values / 257).clip(0, 255).astype(np.uint8))
    clear = picture.info.get("transparency")
    if not isinstance(clear, int):
        return levels
    mask = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
    return Image.merge("LA", (levels, mask))
