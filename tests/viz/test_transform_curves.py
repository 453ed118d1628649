"""The figures of spatial transformers against the step."""

import math

import numpy as np

from attn_jax import viz
from tests.source_checks import refuses


def rows(rate, count=20):
    return [
        {
            "step": 10 * k,
            "train/loss": 1.0,
            "train/outside": 0.1 + 0.01 * k,
            "train/scale": math.exp(rate * k),
            "train/determinant": 0.5 - 0.1 * k,
        }
        for k in range(count)
    ]


def test_each_figure_that_is_present_has_a_panel_with_a_line_a_run():
    figure = viz.transform_curves({"free": rows(0.5), "$bound$": rows(0.0)})
    assert [text.get_text() for text in figure.texts] == [
        "read outside the image",
        "scale",
        "determinant",
    ]
    for axes, key in zip(figure.axes, ("outside", "scale", "determinant"), strict=True):
        free, bound = (line for line in axes.lines if line.get_gid() == "run")
        np.testing.assert_allclose(
            free.get_xydata(), [(row["step"], row[f"train/{key}"]) for row in rows(0.5)]
        )
        assert free.get_linestyle() != bound.get_linestyle()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts] == ["free", r"\$bound\$"]
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "linear"]
    assert figure.axes[0].yaxis.get_major_formatter()(0.25) == "25 %"
    viz.to_png(figure, dpi=40)


def test_thresholds_are_dotted_and_in_sight():
    bounds = {
        "train/scale": (None, 1e6),
        "train/determinant": (-9.0, 2.0),
        "train/contrast": (0, 1),
    }
    figure = viz.transform_curves(rows(0.1), bounds)
    dotted = [
        [line.get_ydata()[0] for line in axes.lines if line.get_gid() == "threshold"]
        for axes in figure.axes
    ]
    assert dotted == [[], [1e6], [-9.0, 2.0]]
    for axes, places in zip(figure.axes, dotted, strict=True):
        low, high = axes.get_ylim()
        assert all(low <= place <= high for place in places)
    assert [text.get_text() for text in figure.legends[0].texts] == ["threshold"]


def test_a_threshold_of_zero_keeps_the_axis_logarithmic():
    figure = viz.transform_curves(rows(0.5), {"train/scale": (0.0, None)})
    assert figure.axes[1].get_yscale() == "log"
    viz.to_png(figure, dpi=40)


def test_gaps_and_values_that_are_no_numbers_are_left_out():
    given = [{"step": 3, "train/scale": 2.0}, {"step": 1, "train/scale": 1.0}, {"step": 2}]
    given += [{"step": 4, "train/scale": math.nan}, {"step": 5, "train/scale": None}]
    (axes,) = viz.transform_curves({"a": given, "b": [{"step": 1}]}).axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 1.0], [3, 2.0]])


def test_bad_rows_and_thresholds_are_named():
    with refuses(r"rows must each have 'step'; row 0 has \['train/scale'\]"):
        viz.transform_curves([{"train/scale": 1.0}])
    with refuses("rows must hold a finite number of train/outside, .*; got 1 rows"):
        viz.transform_curves({"a": [{"step": 1, "train/loss": 1.0}]})
    with refuses("thresholds must be of train/outside, .*; got 'scale'"):
        viz.transform_curves(rows(0.1), {"scale": (0, 1)})
