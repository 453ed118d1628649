"""Alignments: every character has a row or a column, and spans are framed."""

import numpy as np
import pytest

from attn_jax.viz import Alignment, alignment, to_png


def test_rows_are_outputs_columns_are_inputs_and_spans_are_framed():
    weights = np.arange(6.0).reshape(2, 3) / 6
    spans = np.array([[1, 3], [0, 0]])
    figure = alignment(
        [Alignment("abc", "xy", weights, spans), Alignment("d", "z", np.ones((1, 1)))]
    )
    first, second = figure.axes
    np.testing.assert_array_equal(first.images[0].get_array(), weights)
    assert [label.get_text() for label in first.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["x", "y"]
    [frame] = first.patches  # an empty span has none
    assert (frame.get_x(), frame.get_y(), frame.get_width()) == (0.5, -0.5, 2)
    assert not second.patches
    assert to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "alignments must hold at least one; got none"),
        (
            [Alignment("abc", "xy", np.ones((3, 2)))],
            r"weights must be \[2, 3\] for 'xy' from 'abc'",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        alignment(given)
