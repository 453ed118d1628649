"""Picture files in folders, one folder for each class."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from attn_jax.data.picture_files import PictureInfo, picture_info
from attn_jax.data.pictures import ASPECTS, Preparation, prepare_picture
from attn_jax.data.sources.folder_files import list_files
from attn_jax.data.sources.images import SPLITS, Images, Source, check_images, sizes

LARGEST = 96  # pixels: on it a glimpse of 8 has somewhere to look, and a laptop trains in minutes
_NAMED = 3


def load_folder(
    path: str | os.PathLike,
    *,
    size: int | tuple[int, int] | None = None,
    largest: int = LARGEST,
    channels: int | None = None,
    aspect: str = "stretch",
    background: int = 255,
    digit: bool = False,
    recursive: bool = True,
    seed: int = 0,
    fraction: float = 0.1,
    classes: Sequence[str] | None = None,
) -> Source:
    """Load pictures from class folders, which lie in folders of splits or directly in `path`.

    Folders of splits are called train or training; val, valid, validation or dev; test or testing,
    in large or small letters. Of a split that is not there, a fraction of each class is drawn from
    the training pictures by the seed. Classes are numbered in the sorted order of their folders'
    names. Files that are no pictures are skipped; the description counts and names them.

    Args:
      path: the folder.
      size: (rows, columns) of the images, or one number for both; None: the pictures' own if all
        have one size of at most `largest`, otherwise `largest`.
      largest: of what `size` finds, pixels.
      channels: 1 grey, 3 RGB, 4 RGB and opacity; None: 1 if all pictures are grey, otherwise 3.
      aspect, background, digit: how a picture is fitted, as in `Preparation`.
      recursive: whether folders in a class folder are read too.
      seed: of the random splits.
      fraction: of each class, for validation and for test each; above 0, below 0.5.
      classes: of a run that is to be measured on the pictures. Then some of its classes may be
        missing, and so may splits; of class folders directly in `path` all pictures are for test.

    Raises:
      FileNotFoundError: if there is no such folder.
      ModuleNotFoundError: if pillow is not installed.
      ValueError: if the folders or pictures are not as described, naming those that are not.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"expected a folder of images at {root}; there is none")
    if channels not in (None, 1, 3, 4):
        raise ValueError(f"channels must be 1, 3 or 4; got {channels}")
    if digit and channels not in (None, 1):
        raise ValueError(f"digits are grey: channels must be 1; got {channels}")
    if not 0 < fraction < 0.5:
        raise ValueError(f"fraction must be above 0 and below 0.5; got {fraction}")
    shape = (size, size) if isinstance(size, int) else size
    if shape is not None and (len(shape) != 2 or min(shape) < 1):
        raise ValueError(f"size must be a positive number or (rows, columns); got {size}")
    listing = list_files(root, recursive=recursive, seed=seed, fraction=fraction, classes=classes)
    files = [file for split in SPLITS for file, _ in listing.splits[split]]
    infos = _each(picture_info, files)
    shape = _found_size(infos, largest) if shape is None else shape
    channels = 1 if digit else channels
    how = Preparation(shape, _needed_channels(infos, channels), aspect, background, digit)
    images = _prepare(files, how)
    if channels is None and how.channels == 3 and (images == images[..., :1]).all():
        images, how = images[..., :1], how._replace(channels=1)
    ends = np.cumsum([len(listing.splits[split]) for split in SPLITS])[:-1]
    parts = {
        split: _split(part, [n for _, n in listing.splits[split]], len(listing.classes), split)
        for split, part in zip(SPLITS, np.split(images, ends), strict=True)
    }
    source = Source(
        **parts, classes=listing.classes, preparation=how, name="folder", description=""
    )
    notes = [f"{root.resolve().name}, {_names(listing.classes)}: {sizes(source)}", *listing.notes]
    return source._replace(description="; ".join([*notes, _fitting(infos, how)]))


def _each(do: Callable[[Path], Any], files: Sequence[Path]) -> list[Any]:
    """Do something with every file, and refuse all files together with which it fails."""

    def attempt(file: Path) -> Any:
        try:
            return do(file)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL while it decodes
        made = list(pool.map(attempt, files))
    failed = [
        (file, one) for file, one in zip(files, made, strict=True) if isinstance(one, ValueError)
    ]
    if failed:
        others = ", ".join(str(file) for file, _ in failed[1 : 1 + _NAMED])
        more = f"; {len(failed) - 1:,} more of {len(files):,}: {others}" if others else ""
        raise ValueError(f"{failed[0][1]}{more}")
    return made


def _found_size(infos: Sequence[PictureInfo], largest: int) -> tuple[int, int]:
    """The pictures' own size if they have one that is small enough."""
    found = {info.size for info in infos}
    one = next(iter(found))
    return one if len(found) == 1 and max(one) <= largest else (largest, largest)


def _needed_channels(infos: Sequence[PictureInfo], channels: int | None) -> int:
    if channels is not None:
        return channels
    return 1 if all(info.grey for info in infos) else 3


def _prepare(files: Sequence[Path], how: Preparation) -> np.ndarray:
    """Read files into one array, uint8 [N, H, W, C]."""
    images = np.empty((len(files), *how.size, how.channels), np.uint8)

    def put(file: Path) -> None:
        images[places[file]] = prepare_picture(file, how).image

    places = {file: place for place, file in enumerate(files)}
    _each(put, files)
    return images


def _split(images: np.ndarray, labels: list[int], classes: int, name: str) -> Images:
    if not labels:  # data that are only measured need not have every split
        return Images(images, np.zeros(0, np.int32))
    return check_images(images, np.array(labels), classes, name)


def _names(classes: Sequence[str]) -> str:
    few = len(classes) <= 2 * _NAMED
    return f"{len(classes)} classes" + (f" ({', '.join(classes)})" if few else "")


def _fitting(infos: Sequence[PictureInfo], how: Preparation) -> str:
    """The sizes of the pictures and of the images, in words."""
    found = {info.size for info in infos}
    kind = {1: "grey", 3: "RGB", 4: "RGB and opacity"}[how.channels]
    size = "{1}x{0}".format(*how.size)
    if found == {how.size} or how.digit:
        return f"{size} pixels, {kind}"
    one = "{1}x{0}".format(*next(iter(found))) if len(found) == 1 else f"{len(found)} sizes"
    return f"{one} {ASPECTS[how.aspect]} to {size} pixels, {kind}"
