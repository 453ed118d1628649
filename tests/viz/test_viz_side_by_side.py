"""Mechanisms side by side: a tile for each step, and the prediction for each image."""

import numpy as np
import pytest

from attn_jax.viz import Strip, side_by_side, to_png

IMAGES = np.ones((2, 8, 8, 1))
POINTS = Strip("points", "point", np.zeros((2, 3, 2)), (0.5, 0.5), np.array([7, 1]))
WEIGHTS = Strip("weights", "weights", np.ones((2, 3, 2, 2)), (0.5, 0.5), np.array([7, 2]))


def test_every_step_has_a_tile_and_every_prediction_a_mark():
    figure = side_by_side(IMAGES, [POINTS, WEIGHTS], np.array([7, 2]))
    assert len(figure.axes) == 2 * (1 + 2 * 3)
    outlined = [axes for axes in figure.axes if axes.patches]
    assert len(outlined) == 2 * 3
    texts = [text.get_text() for text in figure.texts]
    assert sorted(texts) == sorted(
        ["true 7", "true 2", "✓ read 7", "✗ read 1", "✓ read 7", "✓ read 2", "points", "weights"]
    )
    assert to_png(figure).startswith(b"\x89PNG")


def test_a_strip_of_other_images_is_refused():
    with pytest.raises(ValueError, match="'points' must be of 1 images; got 2"):
        side_by_side(IMAGES[:1], [POINTS], np.array([7]))
