"""The diagram of the recurrence: its boxes, arrows and symbols."""

import pytest

from attn_jax.viz import recurrence, to_png


def patches(figure, gid):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() == gid]


@pytest.mark.parametrize("steps", [1, 3])
def test_each_step_has_two_boxes_five_arrows_and_four_symbols(steps):
    figure = recurrence(steps)
    assert len(patches(figure, "box")) == 2 * steps
    # x to f_att, f_att to core, core to o, s to f_att, s to core; and one from the last core
    assert len(patches(figure, "arrow")) == 5 * steps + 1
    symbols = {text.get_text() for text in figure.axes[0].texts}
    for t in range(1, steps + 1):
        assert {f"$x_{t}$", f"$x'_{t}$", f"$o_{t}$", f"$s_{t}$"} <= symbols
    assert "$s_0$" in symbols and f"$x_{steps + 1}$" not in symbols
    assert to_png(figure).startswith(b"\x89PNG")


def test_nothing_is_drawn_outside_the_figure():
    figure = recurrence(2)
    figure.canvas.draw()
    edges = figure.bbox
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert edges.x0 <= box.x0 and box.x1 <= edges.x1
        assert edges.y0 <= box.y0 and box.y1 <= edges.y1


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps must be at least 1; got 0"):
        recurrence(0)
