"""A user's image is prepared like the training images, however it was stored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn_jax.data.user_image import load_user_image

INK = np.zeros((60, 40), np.uint8)  # an L: 40 high, 20 wide, away from the middle
INK[4:44, 3:9] = 255
INK[38:44, 3:23] = 255


def stored(path: Path, ink: np.ndarray = INK, mode: str = "L", dark: bool = False) -> Path:
    Image.fromarray(255 - ink if dark else ink).convert(mode).save(path)
    return path


@pytest.fixture
def expected(tmp_path: Path) -> np.ndarray:
    return load_user_image(stored(tmp_path / "plain.png"), 28, 1).image


def test_a_digit_fills_20_of_28_pixels_with_its_mass_in_the_middle(expected: np.ndarray):
    assert (expected.shape, expected.dtype) == ((28, 28, 1), np.float32)
    assert 0 == expected.min() < expected.max() == 1
    rows, columns = (np.flatnonzero((expected > 0).any((axis, 2))) for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == 20
    assert columns[-1] - columns[0] + 1 == 10
    mass = expected[..., 0] / expected.sum()
    y, x = np.mgrid[:28, :28] + 0.5
    assert abs((y * mass).sum() - 14) <= 0.5
    assert abs((x * mass).sum() - 14) <= 0.5


def test_ink_is_light_whichever_way_it_was_drawn(tmp_path: Path, expected: np.ndarray):
    user = load_user_image(stored(tmp_path / "a.png", dark=True), 28, 1)
    np.testing.assert_array_equal(user.image, expected)
    assert user.note.startswith("40x60, dark on light, so inverted, cropped to the ink, scaled to")
    assert "inverted" not in load_user_image(stored(tmp_path / "b.png"), 28, 1).note


def test_where_the_digit_stands_and_how_large_it_is_do_not_matter(
    tmp_path: Path, expected: np.ndarray
):
    larger = np.pad(INK.repeat(2, 0).repeat(2, 1), ((5, 60), (100, 7)))
    user = load_user_image(stored(tmp_path / "a.png", larger), 28, 1)
    np.testing.assert_allclose(user.image, expected, atol=1e-6)


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
    np.testing.assert_array_equal(load_user_image(path, 28, 1).image, expected)


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
    np.testing.assert_array_equal(load_user_image(path, 28, 1).image, expected)


def test_a_picture_of_the_canvas_size_is_not_moved(tmp_path: Path):
    levels = np.random.default_rng(0).integers(0, 120, (28, 28), np.uint8)
    user = load_user_image(stored(tmp_path / "a.png", levels), 28, 1)
    np.testing.assert_array_equal(user.image[..., 0], (levels / np.float32(255)).astype(np.float32))
    assert user.note == "28x28"


def test_colour_is_kept_and_scaled_to_fit(tmp_path: Path):
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[...] = (255, 0, 51)
    Image.fromarray(picture).save(tmp_path / "a.png")
    user = load_user_image(tmp_path / "a.png", 10, 3)
    assert (user.image.shape, user.note) == ((10, 10, 3), "40x20, scaled to fit 10x10")
    np.testing.assert_allclose(user.image[2:7], np.broadcast_to([1, 0, 0.2], (5, 10, 3)), atol=1e-6)
    assert user.image[8:].max() == user.image[0].max() == 0


def test_colour_of_the_canvas_size_is_not_touched(tmp_path: Path):
    levels = np.random.default_rng(0).integers(0, 256, (10, 10, 3), np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    user = load_user_image(tmp_path / "a.png", 10, 3)
    np.testing.assert_array_equal(user.image, levels.astype(np.float32) / 255)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_without_ink_is_refused(tmp_path: Path, level: int):
    path = stored(tmp_path / "blank.png", np.full((30, 50), level, np.uint8))
    with pytest.raises(ValueError, match=r"\A.*blank.png has no ink: its greys span only 0.00.*\Z"):
        load_user_image(path, 28, 1)


def test_a_missing_picture_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"\Athere is no file .*none.png\Z"):
        load_user_image(tmp_path / "none.png", 28, 1)


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "header", "folder"])
def test_what_is_no_picture_is_named(tmp_path: Path, damage: str):
    path = tmp_path / "bad.png"
    whole = stored(path).read_bytes()
    made = {"text": b"not a picture", "empty": b"", "cut": whole[: len(whole) // 2],
            "header": whole[:40]}  # fmt: skip
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(made[damage])
    with pytest.raises(ValueError, match=r"\A.*bad.png is not an image that can be read: .*\Z"):
        load_user_image(path, 28, 1)
