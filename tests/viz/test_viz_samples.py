"""Sampled locations with their crops, and bars of weights."""

import numpy as np
import pytest

from attn_jax.viz import location_samples, to_png, weight_bars

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(size=(8, 8, 1))


def arguments(rows=2, samples=5, shown=3):
    return {
        "image": IMAGE,
        "mean": np.array([0.5, -0.5]),
        "locations": RNG.uniform(-1, 1, size=(rows, samples, 2)),
        "crops": RNG.uniform(size=(rows, shown, 4, 4, 1)),
        "size": 4.0,
        "titles": ["a", "b"][:rows],
    }


def test_each_row_has_dots_squares_crops_and_the_mean():
    given = arguments()
    figure = location_samples(**given)
    assert len(figure.axes) == 2 * (1 + 3)
    for row, axes in enumerate((figure.axes[0], figure.axes[4])):
        dots, cross = axes.lines
        pixels = (given["locations"][row] + 1) * 4 - 0.5
        np.testing.assert_allclose(dots.get_xydata(), pixels)
        np.testing.assert_allclose(cross.get_xydata(), [[5.5, 1.5]])
        middles = [np.add(p.get_xy(), 2) for p in axes.patches if p.get_gid() == "glimpse"]
        np.testing.assert_allclose(middles, pixels[:3])
    crop = np.asarray(figure.axes[5].images[0].get_array())
    np.testing.assert_allclose(crop[..., :1], given["crops"][1, 0], rtol=1e-6)
    assert to_png(figure).startswith(b"\x89PNG")


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"titles must have shape \[R=2\]"):
        location_samples(**arguments() | {"titles": ["a"]})


def test_bars_are_as_high_as_the_weights():
    rows = [("even", np.full(4, 0.25)), ("one", np.eye(4)[2])]
    figure = weight_bars(rows)
    heights = [[bar.get_height() for bar in axes.patches] for axes in figure.axes]
    np.testing.assert_allclose(heights, [weights for _, weights in rows])
    assert [text.get_text() for text in figure.texts] == ["even", "one"]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
