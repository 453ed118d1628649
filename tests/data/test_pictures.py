"""A picture becomes the same image wherever and however it is stored."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import Preparation, picture_files, prepare_picture
from tests.source_checks import refuses

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
GREYS = COLOURS[..., 0]


def saved(path: Path, levels: np.ndarray, mode: str | None = None, **options) -> Path:
    picture = Image.fromarray(levels)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


def read(path: Path, **how) -> np.ndarray:
    return prepare_picture(path, Preparation(**{"size": (6, 8), **how})).image


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.gif", "a.ppm"])
def test_levels_are_kept_by_every_lossless_format(tmp_path: Path, name: str):
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path / name, np.stack([GREYS] * 3, -1), **options)
    np.testing.assert_array_equal(read(path)[..., 0], GREYS)
    np.testing.assert_array_equal(read(path, channels=3), np.stack([GREYS] * 3, -1))
    assert prepare_picture(path, Preparation((6, 8))).note == "8x6"


@pytest.mark.parametrize("dtype", [">u2", "<u2"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled(tmp_path: Path, dtype: str, suffix: str):
    path = tmp_path / f"a.{suffix}"
    levels = (GREYS.astype(np.uint16) * 257).astype(dtype)
    mode = {">u2": "I;16B", "<u2": "I;16"}[dtype]
    Image.frombytes(mode, (8, 6), levels.tobytes()).save(path)
    np.testing.assert_array_equal(read(path)[..., 0], GREYS)
    np.testing.assert_array_equal(read(path, channels=3)[..., 2], GREYS)


@pytest.mark.parametrize("mode", ["HSV", "YCbCr", "CMYK", "RGBX"])
def test_other_colour_spaces_become_rgb(tmp_path: Path, mode: str):
    flat = np.broadcast_to(np.array([200, 40, 90], np.uint8), (6, 8, 3)).copy()
    path = tmp_path / "a.tif"
    try:
        Image.fromarray(flat).convert(mode).save(path)
    except OSError:  # Pillow writes no such file
        path = saved(tmp_path / "a.jpg", flat, "YCbCr" if mode == "YCbCr" else None, quality=100)
    np.testing.assert_allclose(read(path, channels=3).astype(int), flat, atol=4)


@pytest.mark.parametrize(
    ("mode", "message"),
    [("I", "32-bit whole"), ("F", "32-bit real"), ("LAB", "has mode LAB; the modes that are ")],
)
def test_modes_without_a_known_range_are_named(tmp_path: Path, mode: str, message: str):
    path = tmp_path / "a.tif"
    made = {"I": GREYS.astype(np.int32), "F": GREYS.astype(np.float32)}
    picture = Image.frombytes("LAB", (8, 6), COLOURS.tobytes()) if mode == "LAB" else (
        Image.fromarray(made[mode])
    )  # fmt: skip
    picture.save(path)
    with refuses(f"a.tif .*{message}"):
        read(path)


@pytest.mark.parametrize("background", [0, 90, 255])
@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "sixteen"])
def test_what_is_transparent_shows_the_background(tmp_path: Path, background: int, kind: str):
    path, opaque = tmp_path / "a.png", GREYS > 100
    mask = Image.fromarray((255 * opaque).astype(np.uint8))
    if kind in ("RGBA", "LA"):
        bands = [Image.fromarray(GREYS)] * (3 if kind == "RGBA" else 1)
        Image.merge(kind, [*bands, mask]).save(path)
    elif kind == "P":
        Image.fromarray(np.where(opaque, GREYS, 7).astype(np.uint8)).convert("P").save(
            path, transparency=7
        )
    else:
        levels = np.where(opaque, GREYS.astype(np.uint16) * 257, 7)
        Image.fromarray(levels.astype(np.uint16)).save(path, transparency=7)
    expected = np.where(opaque, GREYS, background)
    np.testing.assert_array_equal(read(path, background=background)[..., 0], expected)


def test_opacity_is_kept_as_a_fourth_channel(tmp_path: Path):
    levels = np.random.default_rng(1).integers(0, 256, (6, 8, 4), np.uint8)
    path = saved(tmp_path / "a.png", levels)
    np.testing.assert_array_equal(read(path, channels=4), levels)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_pictures_are_turned_upright(tmp_path: Path, tag: int, suffix: str):
    upright = np.zeros((40, 60), np.uint8)
    upright[:20, :20] = 255
    # The stored picture is the one that the turn of the tag makes upright.
    turns = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
        5: np.transpose, 6: np.rot90, 7: lambda x: np.rot90(x, 2).T, 8: lambda x: np.rot90(x, 3),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(turns[tag](upright))).save(path, exif=exif, quality=95)
    assert picture_files.picture_info(path).size == (40, 60)
    image = read(path, size=(40, 60))[..., 0]
    np.testing.assert_allclose(image.astype(int), upright, atol=40)


def test_other_proportions_are_stretched_padded_or_cropped(tmp_path: Path):
    levels = np.zeros((20, 40, 3), np.uint8)
    levels[:, :10], levels[:, 10:30], levels[:, 30:] = 50, 100, 150
    path = saved(tmp_path / "a.png", levels)
    stretched = prepare_picture(path, Preparation((10, 10), 3))
    assert stretched.note == "40x20, stretched to 10x10"
    assert stretched.image[5, [0, 5, 9], 0].tolist() == [50, 100, 150]
    padded = prepare_picture(path, Preparation((10, 10), 3, "pad", 9))
    assert padded.note == "40x20, padded to 10x10"
    assert padded.image[[0, 5, 9], 5, 0].tolist() == [9, 100, 9]
    assert padded.image[5, [0, 9], 0].tolist() == [50, 150]
    cropped = prepare_picture(path, Preparation((10, 10), 3, "crop"))
    assert cropped.note == "40x20, cropped to 10x10"
    assert np.unique(cropped.image[:, 1:-1]).tolist() == [100]
    with refuses("aspect must be one of stretch, pad, crop; got 'fit'"):
        prepare_picture(path, Preparation((10, 10), 3, "fit"))


def test_a_picture_of_the_canvas_size_may_be_kept(tmp_path: Path):
    path = saved(tmp_path / "a.png", GREYS)
    kept = prepare_picture(path, Preparation((3, 3)), kept=(6, 8))
    np.testing.assert_array_equal(kept.image[..., 0], GREYS)
    assert prepare_picture(path, Preparation((3, 3)), kept=(9, 9)).image.shape == (3, 3, 1)


def test_a_large_jpeg_is_decoded_small(tmp_path: Path):
    # 13,000 x 14,000: Pillow refuses to open it, and whole it would need half a gigabyte.
    small = np.linspace(0, 255, 14).astype(np.uint8)[:, None].repeat(13, 1)
    path = tmp_path / "scan.jpg"
    Image.fromarray(small).resize((13_000, 14_000), Image.Resampling.NEAREST).save(path, quality=60)
    image = read(path, size=(14, 13))
    np.testing.assert_allclose(image[..., 0].astype(int), small, atol=3)
    decoded = picture_files.decode(path, (14, 13))
    assert decoded.size == (1_625, 1_750)


def bomb(path: Path, side: int) -> Path:
    """The head of a PNG that claims side x side pixels, and none of them."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = side.to_bytes(4, "big") * 2
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("side", [12_000, 15_000, 100_000])
def test_more_pixels_than_are_decoded_are_refused_before_memory_is_asked_for(
    tmp_path: Path, side: int
):
    with refuses("scan.png has .* pixels; at most .*make it smaller first"):
        read(bomb(tmp_path / "scan.png", side))


def test_images_of_other_channels_are_asked_about_by_no_picture(tmp_path: Path):
    path = saved(tmp_path / "a.png", GREYS)
    with refuses("pictures become images of 1, 3 or 4 channels; the data have 5"):
        read(path, channels=5)
