"""The picture files of a folder: which class and split each is of, and which are skipped."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_jax.data.picture_files import is_picture
from attn_jax.data.sources.images import SPLITS

Files = list[tuple[Path, int]]  # (file, number of its class)
LAYOUT = (
    "train/, test/ and optionally valid/ with a folder for each class, or class folders directly"
)
# name of a folder, in small letters -> its split
_PARTS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
# Files that operating systems and archives leave behind, in small letters.
_LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r", "$recycle.bin"}
_NAMED = 3


class Listing(NamedTuple):
    """The files of a folder.

    Attributes:
      classes: their names; the number of a class is its place.
      splits: of train, validation and test, the files.
      notes: how they were split, what was skipped and what is missing, in words.
    """

    classes: tuple[str, ...]
    splits: dict[str, Files]
    notes: list[str]


def list_files(
    root: Path, *, recursive: bool, seed: int, fraction: float, classes: Sequence[str] | None
) -> Listing:
    """List the pictures of a folder by split and class; the arguments are those of `load_folder`.

    Raises:
      ValueError: if the folders are not as `LAYOUT` says.
    """
    parts = _parts(root)
    skipped: list[Path] = []
    found = {part: _by_class(path, recursive, skipped) for part, path in parts.items()}
    if not parts:
        found = {"test" if classes else "train": _by_class(root, recursive, skipped)}
    names = tuple(classes or _check_classes(found.get("train", {}), root))
    for part, files in found.items():
        _check_known(files, names, parts.get(part, root))
    splits = {
        part: [(file, number) for number, name in enumerate(names) for file in files.get(name, [])]
        for part, files in found.items()
    }
    notes = []
    if classes is None:
        splits, notes = _hold_out(splits, names, seed, fraction, root)
    notes += [note for part in splits if (note := _lacking(part, splits[part], names))]
    notes += [_skipped(skipped, root)] if skipped else []
    return Listing(names, {part: splits.get(part, []) for part in SPLITS}, notes)


def _parts(root: Path) -> dict[str, Path]:
    """The folders of splits, if there are such."""
    folders = [entry for entry in _visible(root) if entry.is_dir()]
    named = [(_PARTS[entry.name.lower()], entry) for entry in folders if _is_part(entry)]
    parts = dict(named)
    if len(parts) < len(named):
        names = ", ".join(entry.name for _, entry in named)
        raise ValueError(f"expected one folder for each split; {root} has {names}")
    # A class may be called test; a folder without a training split has nothing but splits.
    whole = "train" in parts or len(named) == len(folders)
    return parts if whole else {}


def _is_part(entry: Path) -> bool:
    return entry.name.lower() in _PARTS and any(one.is_dir() for one in _visible(entry))


def _visible(directory: Path) -> list[Path]:
    """The entries of a directory that are neither hidden nor litter, sorted."""
    return sorted(entry for entry in directory.iterdir() if not _is_litter(entry.name))


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _by_class(directory: Path, recursive: bool, skipped: list[Path]) -> dict[str, list[Path]]:
    """The pictures of each class folder; other files are added to `skipped`."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(directory.iterdir()):
        if entry.is_dir() and not _is_litter(entry.name):
            found[entry.name] = _pictures(entry, recursive, skipped)
        elif entry.is_file():
            skipped.append(entry)
    return found


def _pictures(folder: Path, recursive: bool, skipped: list[Path]) -> list[Path]:
    """The pictures of a folder, sorted."""
    pictures = []
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_litter(name))
        for file in (Path(above, name) for name in sorted(names)):
            deep = file.parent != folder and not recursive
            taken = not deep and not _is_litter(file.name) and is_picture(file)
            (pictures if taken else skipped).append(file)
    return sorted(pictures)


def _check_classes(found: dict[str, list[Path]], root: Path) -> list[str]:
    """The names of the classes to train on, each of which must have pictures."""
    if len(found) < 2 or all(name.lower() in _PARTS for name in found):
        loose = sum(is_picture(entry) for entry in _visible(root) if entry.is_file())
        hint = f" and {loose:,} pictures of no class, which `infer` can read" if loose else ""
        raise ValueError(
            f"expected {LAYOUT}, with at least 2 classes; {root} has the folders "
            f"{', '.join(e.name for e in _visible(root) if e.is_dir()) or '(none)'}{hint}"
        )
    if empty := [name for name, files in found.items() if not files]:
        raise ValueError(f"expected pictures of every class; {root} has none of {', '.join(empty)}")
    return list(found)


def _check_known(found: dict[str, list[Path]], names: Sequence[str], where: Path) -> None:
    if strange := [name for name in found if name not in names]:
        raise ValueError(
            f"expected folders of the classes {', '.join(names)}; {where} has also "
            f"{', '.join(strange)}"
        )
    if not any(found.values()):
        loose = [entry for entry in _visible(where) if entry.is_file() and is_picture(entry)]
        hint = f", but {len(loose):,} of no class, which `infer` can read" if loose else ""
        raise ValueError(f"expected pictures in class folders; {where} has none{hint}")


def _hold_out(
    splits: dict[str, Files], names: Sequence[str], seed: int, fraction: float, root: Path
) -> tuple[dict[str, Files], list[str]]:
    """Draw the splits that are missing from the training files of each class."""
    missing = [part for part in ("test", "validation") if part not in splits]
    splits, rest = dict(splits), 1.0
    for part in missing:
        train, drawn = _draw(splits["train"], names, fraction / rest, seed, root)
        splits |= {"train": train, part: drawn}
        rest -= fraction
    words = " and ".join(reversed(missing))
    return splits, [f"{words} drawn from each class by seed {seed}"] if missing else []


def _draw(
    files: Files, names: Sequence[str], fraction: float, seed: int, root: Path
) -> tuple[Files, Files]:
    """Part the files into the rest and a random fraction of each class, at least one file."""
    rest, drawn = [], []
    for number in sorted({n for _, n in files}):
        mine = [pair for pair in files if pair[1] == number]
        count = max(1, round(fraction * len(mine)))
        if count >= len(mine):
            raise ValueError(
                f"{root}: class {names[number]} has too few images to hold out "
                f"{count} and train on the others"
            )
        order = np.random.default_rng([seed, number]).permutation(len(mine))
        drawn += [mine[i] for i in sorted(order[:count])]
        rest += [mine[i] for i in sorted(order[count:])]
    return rest, drawn


def _lacking(part: str, files: Files, names: Sequence[str]) -> str:
    """The classes of which a split has no pictures, in words."""
    there = {number for _, number in files}
    lacking = [name for number, name in enumerate(names) if number not in there]
    return f"no {part} images of {', '.join(lacking)}" if lacking else ""


def _skipped(files: list[Path], root: Path) -> str:
    """How many files were skipped, and the first of them."""
    shown = ", ".join(str(file.relative_to(root)) for file in files[:_NAMED])
    more = ", …" if len(files) > _NAMED else ""
    return f"{len(files):,} other files skipped ({shown}{more})"
