"""A picture of a digit is prepared like those of MNIST, however it was stored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data import Preparation, PreparedPicture, load_source, prepare_picture

INK = np.zeros((60, 40), np.uint8)  # an L: 40 high, 20 wide, away from the middle
INK[4:44, 3:9] = 255
INK[38:44, 3:23] = 255


def stored(path: Path, ink: np.ndarray = INK, mode: str = "L", dark: bool = False) -> Path:
    Image.fromarray(255 - ink if dark else ink).convert(mode).save(path)
    return path


def read(path: Path) -> PreparedPicture:
    return prepare_picture(path, Preparation((28, 28), 1, digit=True))


@pytest.fixture
def expected(tmp_path: Path) -> np.ndarray:
    return read(stored(tmp_path / "plain.png")).image


def test_a_digit_fills_20_of_28_pixels_with_its_mass_in_the_middle(expected: np.ndarray):
    assert (expected.shape, expected.dtype) == ((28, 28, 1), np.uint8)
    assert 0 == expected.min() < expected.max() == 255
    rows, columns = (np.flatnonzero((expected > 0).any((axis, 2))) for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == 20
    assert columns[-1] - columns[0] + 1 == 10
    mass = expected[..., 0] / expected.sum()
    y, x = np.mgrid[:28, :28] + 0.5
    assert abs((y * mass).sum() - 14) <= 0.5
    assert abs((x * mass).sum() - 14) <= 0.5


def test_ink_is_light_whichever_way_it_was_drawn(tmp_path: Path, expected: np.ndarray):
    user = read(stored(tmp_path / "a.png", dark=True))
    np.testing.assert_array_equal(user.image, expected)
    assert user.note.startswith("40x60, dark on light, so inverted, cropped to the ink, scaled to")
    assert "inverted" not in read(stored(tmp_path / "b.png")).note


def test_where_the_digit_stands_and_how_large_it_is_do_not_matter(
    tmp_path: Path, expected: np.ndarray
):
    larger = np.pad(INK.repeat(2, 0).repeat(2, 1), ((5, 60), (100, 7)))
    user = read(stored(tmp_path / "a.png", larger))
    np.testing.assert_array_equal(user.image, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16", "LA", "CMYK"])
@pytest.mark.parametrize("dark", [False, True])
def test_how_the_picture_is_stored_does_not_matter(
    tmp_path: Path, mode: str, dark: bool, expected: np.ndarray
):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        levels = (255 - INK if dark else INK).astype(np.uint16) * 257
        Image.fromarray(levels).save(path)
    else:
        stored(path, mode=mode, dark=dark)
    np.testing.assert_array_equal(read(path).image, expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "palette"])
def test_ink_on_a_transparent_ground_is_read_like_ink_on_white(
    tmp_path: Path, mode: str, expected: np.ndarray
):
    path = tmp_path / "a.png"
    if mode == "palette":
        picture = Image.fromarray(np.where(INK > 0, 0, 255).astype(np.uint8)).convert("P")
        picture.save(path, transparency=picture.getpixel((39, 59)))
    else:
        levels = [np.zeros_like(INK)] * (1 if mode == "LA" else 3)
        Image.merge(mode, [Image.fromarray(one) for one in (*levels, INK)]).save(path)
    np.testing.assert_array_equal(read(path).image, expected)


def test_a_picture_of_the_images_size_is_not_moved(tmp_path: Path):
    levels = np.zeros((28, 28), np.uint8)
    levels[3:9, 20:26] = 200
    user = read(stored(tmp_path / "a.png", levels))
    np.testing.assert_array_equal(user.image[..., 0], levels)
    assert user.note == "28x28"


def test_digits_of_the_training_set_are_left_as_they_are(tmp_path: Path):
    images = load_source("embedded").test.images[::25]
    for image in images:
        user = read(stored(tmp_path / "a.png", image[..., 0]))
        np.testing.assert_array_equal(user.image, image)


def blank(kind: str, rows: int, columns: int) -> np.ndarray:
    """Paper without ink, as scanners and cameras give it."""
    random = np.random.default_rng(0)
    levels = np.full((rows, columns), 200.0)
    if kind in ("noise", "shadow and noise"):
        levels += random.normal(0, 8, levels.shape)
    if kind in ("shadow", "shadow and noise"):
        levels -= np.linspace(0, 120, columns)
    if kind == "vignette":
        y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        levels -= 60 * (x**2 + y**2)
    return levels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["noise", "shadow", "shadow and noise", "vignette"])
@pytest.mark.parametrize("size", [(28, 28), (300, 200)])
def test_blank_paper_is_refused(tmp_path: Path, kind: str, size: tuple[int, int]):
    path = stored(tmp_path / "blank.png", blank(kind, *size))
    with pytest.raises(ValueError, match=r"\A.*blank.png has no ink: its greys .*\Z"):
        read(path)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(30, 50), (28, 28)])
def test_a_picture_without_ink_is_refused(tmp_path: Path, level: int, size: tuple[int, int]):
    path = stored(tmp_path / "blank.png", np.full(size, level, np.uint8))
    with pytest.raises(ValueError, match=r"\A.*blank.png has no ink: its greys span only 0.00.*\Z"):
        read(path)


def test_a_missing_picture_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"\Athere is no file .*none.png\Z"):
        read(tmp_path / "none.png")


def test_a_folder_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"\Aexpected a picture; .* is a folder\Z"):
        read(tmp_path)


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "header"])
def test_what_is_no_picture_is_named(tmp_path: Path, damage: str):
    path = tmp_path / "bad.png"
    whole = stored(path).read_bytes()
    made = {"text": b"not a picture", "empty": b"", "cut": whole[: len(whole) // 2],
            "header": whole[:40]}  # fmt: skip
    path.write_bytes(made[damage])
    with pytest.raises(ValueError, match=r"\Aexpected a picture that .*bad.png is not one: .*\Z"):
        read(path)
