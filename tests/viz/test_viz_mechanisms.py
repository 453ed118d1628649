"""The table of mechanisms: where each attends, and what it reads."""

import numpy as np

from attn_jax.viz import MechanismPicture, mechanism_table, to_png

IMAGE = np.random.default_rng(0).uniform(size=(8, 8, 1))


def marks(axes, gid):
    return [line for line in axes.lines if line.get_gid() == gid]


def test_a_cell_has_the_image_and_what_was_read_divided_by_its_maximum():
    seen = np.array([[[0.1], [0.2]]])
    one = MechanismPicture("a title", "an equation", np.full((2, 4), 1 / 8), seen=seen)
    figure = mechanism_table(IMAGE, [[one]])
    where, read = figure.axes
    np.testing.assert_allclose(np.asarray(read.images[0].get_array())[..., 0], [[0.5, 1.0]])
    assert len(where.lines) == 1 + 3  # between two rows and four columns
    assert [text.get_text() for text in figure.texts] == ["a title", "an equation", "→"]
    assert to_png(figure).startswith(b"\x89PNG")


def test_samples_and_their_mean_are_drawn_at_their_locations():
    samples, mean = np.array([[-1.0, 0.0], [1.0, 1.0]]), np.array([0.0, 0.5])
    one = MechanismPicture("", "", np.zeros(2), "point", samples=samples, mean=mean)
    axes = mechanism_table(IMAGE, [[one]]).axes[0]
    (dots,), (cross,) = marks(axes, "samples"), marks(axes, "mean")
    np.testing.assert_allclose(dots.get_xydata(), [[-0.5, 3.5], [7.5, 7.5]])
    np.testing.assert_allclose(cross.get_xydata(), [[3.5, 5.5]])
    assert [patch.get_gid() for patch in axes.patches] == ["glimpse"]


def test_a_fine_map_has_no_grid_and_a_cell_may_show_the_image_alone():
    fine, plain = MechanismPicture("", "", np.full((16, 16), 1 / 256)), MechanismPicture("", "")
    figure = mechanism_table(IMAGE, [[fine, plain]])
    assert [len(axes.lines) for axes in figure.axes] == [0, 0]
    shown = np.asarray(figure.axes[1].images[0].get_array())
    np.testing.assert_allclose(shown[..., :1], IMAGE, rtol=1e-6)
