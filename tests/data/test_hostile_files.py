"""Mutated data files: read, or refused in one line; nothing else is raised."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import Preparation, load_source, open_stream, prepare_picture, write_images
from tests.data.test_tfds import prepared
from tests.tiny import write_npz

COUNT = int(os.environ.get("ATTN_JAX_FUZZ_FILES", "5000"))
REFUSALS = (ValueError, FileNotFoundError)

# A maker of a file, and a reader of it.
Kind = tuple[Callable[[Path], Path], Callable[[Path], object]]


def _picture(name: str, mode: str = "RGB", **options) -> Kind:
    def make(folder: Path) -> Path:
        levels = np.random.default_rng(0).integers(0, 256, (23, 31, 3), np.uint8)
        picture = Image.fromarray(levels).convert("L").convert(mode) if mode != "RGB" else (
            Image.fromarray(levels)
        )  # fmt: skip
        picture.save(folder / name, **options)
        return folder / name

    return make, lambda path: prepare_picture(path, Preparation((12, 10), 3, "pad"))


def _npz(folder: Path) -> Path:
    return write_npz(folder / "a.npz")


def _compressed(folder: Path) -> Path:
    arrays = dict(np.load(write_npz(folder / "a.npz")))
    np.savez_compressed(folder / "a.npz", **arrays)
    return folder / "a.npz"


def _tfds(name: str) -> Kind:
    def make(folder: Path) -> Path:
        return prepared(folder, {"train": 9, "validation": 3, "test": 3}) / name

    return make, lambda path: load_source("tfds", path.parent)


def _records(name: str) -> Kind:
    def make(folder: Path) -> Path:
        write_images(folder / "r", load_source("npz", write_npz(folder / "a.npz")))
        return folder / "r" / "train" / name

    def read(path: Path) -> object:
        streamed = open_stream(path.parent.parent)
        return streamed.train.read(np.arange(len(streamed.train)))

    return make, read


KINDS: dict[str, Kind] = {
    "png": _picture("a.png"),
    "palette": _picture("b.png", "P"),
    "jpeg": _picture(
        "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    ),
    "tiff": _picture("a.tif"),
    "lzw": _picture("b.tif", compression="tiff_lzw"),
    "gif": _picture("a.gif", "P"),
    "bmp": _picture("a.bmp"),
    "webp": _picture("a.webp"),
    "npz": (_npz, lambda path: load_source("npz", path)),
    "compressed": (_compressed, lambda path: load_source("npz", path)),
    "dataset_info": _tfds("dataset_info.json"),
    "features": _tfds("features.json"),
    "index": _records("index.json"),
    "record": _records("00000.array_record"),
}
_WORDS = [b"[]", b"null", b"-1", b"1e999", b"\xff\xfe", b"{" * 2000, b"999999999999999", b"\0" * 64]


def mutations(whole: bytes, count: int, seed: str) -> Iterator[bytes]:
    """Files with bytes changed, cut off, doubled or put in."""
    chance = random.Random(seed)
    for _ in range(count):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            place = chance.randrange(len(content) + 1)
            how = chance.randrange(5)
            if how == 0:
                del content[place:]
            elif how == 1:
                content[place:place] = chance.choice(_WORDS)
            elif how == 2:
                length = chance.randrange(1, 40)
                content[place : place + length] = content[:length]
            else:
                for offset in range(place, min(place + chance.choice((1, 2, 4)), len(content))):
                    content[offset] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        yield bytes(content)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Pillow, on damaged tags
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make, read = KINDS[kind]
    path = make(tmp_path)
    whole, count, refused = path.read_bytes(), -(-COUNT // len(KINDS)), 0
    read(path)
    for content in mutations(whole, count, kind):
        path.write_bytes(content)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        try:
            read(path)
        except REFUSALS as error:
            refused += 1
            assert str(error).strip(), content
            assert "\n" not in str(error), (str(error), content)
    print(json.dumps({"kind": kind, "files": count, "refused": refused}))
    assert refused > 0
