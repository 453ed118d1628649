"""Where a mechanism attends: bright where the weights are, outlined where the glimpse is."""

import numpy as np
import pytest

from attn_jax.viz import attention, to_png

IMAGES = np.ones((2, 8, 12, 1))


def outlines(figure):
    return [
        p.get_xy()[:4] for axes in figure.axes for p in axes.patches if p.get_gid() == "glimpse"
    ]


def test_an_image_is_bright_where_its_weights_are():
    where = np.zeros((2, 1, 2, 3))
    where[:, 0, 1, 2] = 1.0
    figure = attention(IMAGES, where, kind="weights")
    plain, lit = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    assert (plain == 1).all()
    bright = lit.mean(-1) > 0.5
    expected = np.zeros((8, 12), bool)
    expected[4:, 8:] = True
    np.testing.assert_array_equal(bright, expected)


def test_a_point_is_outlined_at_the_size_of_its_patch():
    where = np.array([[[0.0, 0.0]], [[0.5, -0.5]]])
    figure = attention(IMAGES, where, kind="point", patch=(0.5, 0.25), titles=["a", "b"])
    middle, moved = outlines(figure)
    np.testing.assert_allclose(middle.min(0), [5.5 - 1.5, 3.5 - 2.0])
    np.testing.assert_allclose(middle.max(0), [5.5 + 1.5, 3.5 + 2.0])
    np.testing.assert_allclose(moved - middle, np.tile([3.0, -2.0], (4, 1)))
    assert to_png(figure).startswith(b"\x89PNG")


def test_a_transform_is_outlined_where_it_puts_the_corners():
    theta = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])  # a quarter turn
    figure = attention(IMAGES, np.broadcast_to(theta, (2, 3, 2, 3)), kind="theta")
    assert len(outlines(figure)) == 6
    np.testing.assert_allclose(outlines(figure)[0][0], [11.5, -0.5])  # (-1, -1) goes to (1, -1)


@pytest.mark.parametrize(
    ("where", "kind", "message"),
    [
        (np.ones((2, 1, 3)), "grid", "kind must be one of weights, point, theta; got 'grid'"),
        (np.ones((2, 1, 3)), "weights", r"where must be \[2, T, ...\] of rank 4 for 'weights'"),
        (np.ones((3, 1, 2)), "point", r"got shape \[3, 1, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(where, kind, message):
    with pytest.raises(ValueError, match=message):
        attention(IMAGES, where, kind=kind)
