"""Glimpse paths: what is drawn, where, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from attn_jax import viz


def drawn(case, sizes=(4.0, 8.0), **options):
    return viz.glimpse_paths(
        case.images,
        case.locations,
        case.glimpses,
        case.labels,
        case.predictions,
        sizes=sizes,
        **options,
    )


def squares(figure):
    return [p for axes in figure.axes for p in axes.patches if p.get_gid() == "glimpse"]


@pytest.mark.parametrize(("n", "steps", "scales"), [(1, 1, 1), (2, 7, 1), (1, 8, 3), (3, 2, 4)])
def test_a_square_for_every_glimpse_and_scale(rollout, n, steps, scales):
    sizes = viz.patch_sizes(4, scales)
    figure = drawn(rollout(n, steps, scales), sizes)
    assert len(squares(figure)) == n * steps * scales


def test_squares_are_where_the_glimpses_are(rollout):
    case = rollout(n=1, steps=1, scales=2)
    case.locations[0, 0] = (0.5, -0.5)  # of 12 pixels: column 8.5, row 2.5
    fine, coarse = squares(drawn(case))
    np.testing.assert_allclose((*fine.get_xy(), fine.get_width()), (6.5, 0.5, 4))
    np.testing.assert_allclose((*coarse.get_xy(), coarse.get_width()), (4.5, -1.5, 8))


def test_the_patches_are_shown_as_they_are(rollout):
    case = rollout(n=1, steps=2, scales=1)
    image, strip = (axes.images[0].get_array() for axes in drawn(case, (4.0,)).axes)
    np.testing.assert_allclose(image[..., 0], case.images[0, ..., 0], atol=1e-6)
    np.testing.assert_allclose(strip[-5:-1, :4, 0], case.glimpses[0, 0, 0, ..., 0], atol=1e-6)
    np.testing.assert_allclose(strip[-5:-1, 5:9, 0], case.glimpses[0, 1, 0, ..., 0], atol=1e-6)


def test_a_wrong_prediction_is_marked_and_not_by_colour_only(rollout):
    case = rollout(n=2)
    case.labels, case.predictions = np.array([3, 1]), np.array([3, 7])
    right, wrong = drawn(case).texts
    assert right.get_text() == "✓  true 3, read 3"
    assert wrong.get_text() == "✗  true 1, read 7"
    assert right.get_color() != wrong.get_color()


def test_class_names(rollout):
    texts = [t.get_text() for t in drawn(rollout(), class_names=["cat", "dog"]).texts]
    assert texts == ["✗  true cat, read dog", "✗  true dog, read cat"]


@pytest.mark.parametrize(("channels", "steps", "g"), [(1, 7, 8), (3, 1, 6), (3, 8, 12)])
def test_nothing_is_drawn_outside_the_figure(rollout, channels, steps, g):
    figure = drawn(rollout(1, steps, 2, g, channels=channels), (g, 2 * g))
    data = viz.to_png(figure, dpi=60)
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges)


def test_the_same_arguments_give_the_same_bytes(rollout):
    first, second = (viz.to_png(drawn(rollout()), dpi=50) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("images", (2, 12, 12), r"images must have shape \[N, H, W, C\].*got \[2, 12, 12\]"),
        ("locations", (2, 3, 3), r"locations must have shape \[N=2, T, 2\].*got \[2, 3, 3\]"),
        ("glimpses", (2, 4, 2, 4, 4, 1), r"glimpses must .*T=3.*got \[2, 4, 2, 4, 4, 1\]"),
        ("labels", (3,), r"labels must have shape \[N=2\].*got \[3\]"),
        ("predictions", (2, 1), r"predictions must have shape \[N=2\].*got \[2, 1\]"),
    ],
)
def test_bad_shapes_are_named(rollout, name, shape, message):
    case = rollout()
    setattr(case, name, np.zeros(shape))
    with pytest.raises(ValueError, match=message):
        drawn(case)


@pytest.mark.parametrize("sizes", [(4.0,), (4.0, -8.0)])
def test_sizes_must_fit_the_scales(rollout, sizes):
    with pytest.raises(
        ValueError, match="sizes must be 2 positive pixels, one for each scale; got"
    ):
        drawn(rollout(), sizes)
