"""The forest plot."""

import pytest

from attn_jax.viz import Column, forest, to_png


def test_values_are_dots_but_a_log_axis_leaves_out_those_not_positive():
    labels = ["a", "b", "c"]
    figure = forest(
        labels, [Column("x", [0.1, -0.2, 0.0], [0.1] * 3), Column("y", [1, 0, 9], log=True)]
    )
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == labels
    assert len(left.lines[0].get_xdata()) == 3
    assert list(right.lines[0].get_xdata()) == [1, 9]
    assert right.get_xscale() == "log"
    assert to_png(figure).startswith(b"\x89PNG")


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match="'x' must have 2 values; got 1"):
        forest(["a", "b"], [Column("x", [1.0])])
