"""Coordinates, shape checks and the other shared parts."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from attn_jax import viz
from attn_jax.viz import axes, draw
from attn_jax.viz.checks import check_shapes


def test_the_public_names_are_sorted_and_exist():
    assert sorted(viz.__all__) == viz.__all__
    assert all(hasattr(viz, name) for name in viz.__all__)


def test_importing_viz_does_not_import_matplotlib():
    code = "import sys, attn_jax.viz; print({'matplotlib', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("location", "size", "pixel"),
    [
        ((0.0, 0.0), (28, 28), (13.5, 13.5)),  # between the two middle pixels
        ((-1.0, -1.0), (28, 28), (-0.5, -0.5)),  # the outer corner, not a pixel's centre
        ((1.0, 1.0), (28, 28), (27.5, 27.5)),
        ((-0.5, 0.5), (4, 8), (1.5, 2.5)),  # x along the width of 8, y along the height of 4
        ((0.0, 0.0), (5, 5), (2.0, 2.0)),  # an odd side has a middle pixel
    ],
)
def test_to_pixels_by_hand(location, size, pixel):
    np.testing.assert_allclose(draw.to_pixels(np.array(location), size), pixel, atol=1e-12)


def test_to_pixels_keeps_leading_axes():
    assert draw.to_pixels(np.zeros((2, 5, 2)), (6, 6)).shape == (2, 5, 2)


def test_to_pixels_refuses_another_last_axis():
    with pytest.raises(ValueError, match=r"locations must have shape \[\.\.\., 2\]; got \[2, 3\]"):
        draw.to_pixels(np.zeros((2, 3)), (6, 6))


def test_patch_sizes():
    assert draw.patch_sizes(8) == (8.0,)
    assert draw.patch_sizes(12, 3) == (12.0, 24.0, 48.0)
    assert draw.patch_sizes(4, 2, ratio=1.5) == (4.0, 6.0)


def test_a_letter_is_the_same_length_in_every_shape():
    lengths = check_shapes(a=(np.zeros((2, 3)), "N T"), b=(np.zeros((3, 2)), "T 2"))
    assert lengths == {"N": 2, "T": 3}


@pytest.mark.parametrize(
    ("shape", "letters"), [((4, 2), "T 2"), ((3, 3), "T 2"), ((3,), "T 2"), ((3, 4, 5), "T g g")]
)
def test_check_shapes_refuses(shape, letters):
    with pytest.raises(ValueError, match=r"b must have shape \[T=3, .*got \["):
        check_shapes(a=(np.zeros(3), "T"), b=(np.zeros(shape), letters))


def test_check_shapes_refuses_an_empty_axis():
    with pytest.raises(ValueError, match=r"a must .* none of them 0; got \[0, 2\]"):
        check_shapes(a=(np.zeros((0, 2)), "T 2"))


def test_grey_and_colour_are_shown_on_a_fixed_range():
    grey = draw.to_rgb(np.array([0.4, -1.0, 2.0]).reshape(1, 3, 1))
    np.testing.assert_allclose(grey[0, :, 1], [0.4, 0.0, 1.0], atol=1e-7)
    assert grey.shape == (1, 3, 3)
    colour = np.random.default_rng(0).uniform(size=(2, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(draw.to_rgb(colour), colour)
    many = np.random.default_rng(0).uniform(size=(2, 2, 5)).astype(np.float32)
    np.testing.assert_array_equal(draw.to_rgb(many), many[..., :3])
    np.testing.assert_array_equal(draw.to_rgb(many[..., :2])[..., 1], many[..., 0])


@pytest.mark.parametrize("points", [np.zeros((7, 2)), np.linspace(0, 0.3, 16).reshape(8, 2)])
def test_spread_moves_crowded_points_apart(points):
    moved = draw.spread(points, gap=1.0)
    apart = np.linalg.norm(moved[:, None] - moved, axis=-1) + 9 * np.eye(len(points))
    assert apart.min() > 0.9
    assert np.abs(moved - points).max() < 4


def test_spread_leaves_distant_points_where_they_are():
    points = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(draw.spread(points, gap=1.0), points, atol=2e-3)
    assert draw.spread(points[:1], gap=1.0).shape == (1, 2)


def test_to_png_is_deterministic_and_of_the_asked_size():
    first, second = (draw.to_png(draw.new_figure(2, 1), dpi=50) for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).size == (100, 50)


def test_thousands():
    assert [axes.thousands(n) for n in (0, 50, 2500, 2e6)] == ["0", "50", "2.5k", "2M"]
