"""Times against sizes: one line for each implementation, on logarithmic axes."""

import numpy as np
import pytest

from attn_jax.viz import Growth, scaling, to_png

PANEL = Growth(
    "forward", "side", [1, 10, 100], {"ours": [1.0, 2.0, 4.0], "theirs": [2.0, 3.0, 9.0]}
)


def test_every_panel_has_a_line_for_each_implementation():
    figure = scaling([[PANEL, PANEL], [PANEL, PANEL]], "ms")
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        np.testing.assert_array_equal(
            [line.get_ydata() for line in axes.lines], [*PANEL.times.values()]
        )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "theirs"]
    assert to_png(figure).startswith(b"\x89PNG")


def test_a_line_of_another_length_is_refused():
    with pytest.raises(ValueError, match="'ours' of 'forward' must have 3 times; got 1"):
        scaling([[PANEL._replace(times={"ours": [1.0]})]], "ms")
