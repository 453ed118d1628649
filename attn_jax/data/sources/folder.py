"""Image files in folders, one folder for each class."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from attn_jax.data.sources.images import Source, check_images, sizes

Files = list[tuple[Path, int]]  # (file, number of its class)
LAYOUT = "train/, test/ and optionally val/ with a folder for each class, or class folders directly"


def load_folder(
    path: str | os.PathLike,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int = 1,
    seed: int = 0,
    fraction: float = 0.1,
) -> Source:
    """Load images from class folders, which lie in train/, val/ and test/ or directly in `path`.

    Classes are numbered in the sorted order of their folders' names. Hidden files are ignored.
    Without val/ (or validation/), a fraction of each training class, drawn by the seed, becomes
    the validation split. Where the class folders lie directly in `path`, a fraction of each class
    becomes the validation split and another the test split.

    Args:
      path: the folder.
      size: (rows, columns) that images are resized to, or one number for both; by default images
        are not resized and must have one size.
      channels: 1 for grey, 3 for RGB.
      seed: of the random splits.
      fraction: of each class, for validation and for test each; above 0, below 0.5.

    Raises:
      FileNotFoundError: if there is no such folder.
      ModuleNotFoundError: if pillow is not installed.
      ValueError: if the folders or images are not as described.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"expected a folder of images at {root}; there is none")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3; got {channels}")
    if not 0 < fraction < 0.5:
        raise ValueError(f"fraction must be above 0 and below 0.5; got {fraction}")
    shape = (size, size) if isinstance(size, int) else size
    if shape is not None and (len(shape) != 2 or min(shape) < 1):
        raise ValueError(f"size must be a positive number or (rows, columns); got {size}")
    classes, splits, how = _list(root, seed, fraction)
    files = [pair for part in splits.values() for pair in part]
    images = _decode([file for file, _ in files], shape, channels)
    ends = np.cumsum([len(part) for part in splits.values()])[:-1]
    loaded = {
        split: check_images(part, np.array([n for _, n in splits[split]]), len(classes), split)
        for split, part in zip(splits, np.split(images, ends), strict=True)
    }
    source = Source(**loaded, num_classes=len(classes), name="folder", description="")
    title = f"{root.resolve().name}, {len(classes)} classes"
    return source._replace(description=f"{title}: {sizes(source)}{how}")


def _list(root: Path, seed: int, fraction: float) -> tuple[list[str], dict[str, Files], str]:
    """List the classes' names, the files of each split, and how they were split in words."""
    how = f"; drawn from each class by seed {seed}"
    if not (root / "train").is_dir() or not _folders(root / "train"):
        files, classes = _files(root)
        rest, test = _draw(files, fraction, seed, root)
        train, validation = _draw(rest, fraction / (1 - fraction), seed, root)
        return classes, {"train": train, "validation": validation, "test": test}, how
    parts = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
    listed = {part: _files(root / name) for name, part in parts.items() if (root / name).is_dir()}
    train, classes = listed["train"]
    if "test" not in listed:
        raise ValueError(f"expected {LAYOUT}; there is no test/ beside {root / 'train'}")
    for part, (_, names) in listed.items():
        if names != classes:
            raise ValueError(
                f"{root}: every split needs the same class folders; train has "
                f"{', '.join(classes)}; {part} has {', '.join(names)}"
            )
    if "validation" in listed:
        validation, how = listed["validation"][0], ""
    else:
        train, validation = _draw(train, fraction, seed, root)
        how = f"; validation drawn from each training class by seed {seed}"
    return classes, {"train": train, "validation": validation, "test": listed["test"][0]}, how


def _visible(directory: Path) -> list[Path]:
    """The entries of a directory that are not hidden, sorted."""
    return sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))


def _folders(directory: Path) -> list[Path]:
    return [entry for entry in _visible(directory) if entry.is_dir()]


def _files(directory: Path) -> tuple[Files, list[str]]:
    """List every file of the class folders in a directory, and the classes' names."""
    folders = _folders(directory)
    names = [entry.name for entry in folders]
    if len(names) < 2 or set(names) <= {"train", "val", "validation", "test"}:
        raise ValueError(
            f"expected {LAYOUT}, with at least 2 classes; {directory} has the folders "
            f"{', '.join(names) or '(none)'}"
        )
    files = [(file, number) for number, entry in enumerate(folders) for file in _visible(entry)]
    for entry in folders:
        if not _visible(entry):
            raise ValueError(f"expected images in every class folder; {entry} is empty")
    return files, names


def _draw(files: Files, fraction: float, seed: int, root: Path) -> tuple[Files, Files]:
    """Part the files into the rest and a random fraction of each class, at least one file."""
    rest, drawn = [], []
    for number in sorted({n for _, n in files}):
        mine = [pair for pair in files if pair[1] == number]
        count = max(1, round(fraction * len(mine)))
        if count >= len(mine):
            raise ValueError(
                f"{root}: class {mine[0][0].parent.name} has too few images to hold out "
                f"{count} and train on the others"
            )
        order = np.random.default_rng([seed, number]).permutation(len(mine))
        drawn += [mine[i] for i in sorted(order[:count])]
        rest += [mine[i] for i in sorted(order[count:])]
    return rest, drawn


def _decode(files: list[Path], shape: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Read image files into one array, uint8 [N, H, W, C]."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL while it decodes
        images = list(pool.map(lambda file: _open(file, shape, channels), files))
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            first, other = (f"{i.shape[0]} x {i.shape[1]}" for i in (images[0], image))
            raise ValueError(
                f"expected images of one size, or the option size; {files[0]} is {first} "
                f"(rows x columns), {file} is {other}"
            )
    stacked = np.stack(images)
    return stacked if channels == 3 else stacked[..., None]


def _open(file: Path, shape: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Read one image file, uint8 [H, W] or [H, W, 3]."""
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "image folders need pillow: pip install 'attn_jax[experiments]'"
        ) from error
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)  # cameras store the rotation apart
    except Exception as error:  # Pillow raises many kinds of error on damaged files
        raise ValueError(f"expected an image that Pillow reads; {file} is not one") from error
    if image.mode[0] in "IF":  # Pillow would clip these values, not scale them
        raise ValueError(f"expected 8 bits a channel; {file} has mode {image.mode}")
    image = image.convert("L" if channels == 1 else "RGB")
    if shape is not None:
        image = image.resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
