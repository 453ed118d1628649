"""Learning curves, and the error by glimpse."""

import math

import numpy as np
import pytest

from attn_jax import viz

ROWS = [
    {"step": s, "train/loss": 2.0 * math.exp(-s / 20), "train/error": 0.9 / s, "lr": 1e-3}
    | ({"validation/error_mean": 0.8 / s, "validation/loss": 2.0} if s % 10 == 0 else {})
    for s in range(1, 101)
]


def titles(figure):
    return [text.get_text() for text in figure.texts]


def names(axes):
    return [] if axes.get_legend() is None else [t.get_text() for t in axes.get_legend().texts]


def test_train_and_validation_share_a_panel():
    figure = viz.learning_curves(ROWS)
    assert titles(figure) == ["loss", "error", "lr"]
    loss, error, rate = figure.axes
    assert names(loss) == ["train", "validation"]
    assert names(error) == ["train", "validation mean"]
    assert names(rate) == []


def test_names_that_only_share_letters_are_kept_apart():
    rows = [{"step": 1, "train/loss": 1.0, "train/loss_location": 1.0, "train/losses": 1.0}]
    assert titles(viz.learning_curves(rows)) == ["loss", "losses"]


def test_axes_are_logarithmic_only_where_values_fall_far():
    rising = [{"step": s, "reward": s / 1000, "zero": 0.0} for s in range(1, 1000, 100)]
    loss, error, rate = viz.learning_curves(ROWS).axes
    reward, zero = viz.learning_curves(rising).axes
    scales = [axes.get_yscale() for axes in (loss, error, rate, reward, zero)]
    assert scales == ["log", "log", "linear", "linear", "linear"]


def label(axes, value):
    return axes.yaxis.get_major_formatter()(value)


def test_fractions_are_in_percent_and_nothing_else_is():
    rows = [{"step": 1, "validation/exact": 0.5, "train/token_error": 0.1, "train/reward": 0.5}]
    loss, error, _ = viz.learning_curves(ROWS).axes
    exact, token_error, reward = viz.learning_curves(rows).axes
    assert [label(axes, 0.05) for axes in (error, exact, token_error)] == ["5 %"] * 3
    assert [label(axes, 0.05) for axes in (loss, reward)] == ["0.05"] * 2


def test_keys_may_be_missing_and_values_not_finite():
    rows = [{"step": 2, "a": math.nan}, {"step": 3, "a": 5.0}, {"step": 1, "a": 4.0}]
    (line,) = viz.learning_curves(rows).axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 4], [3, 5]])


def test_the_running_mean_is_not_shifted():
    rows = [{"step": s, "a": 3.0 * s} for s in range(100)]
    raw, mean = viz.learning_curves(rows).axes[0].lines
    assert len(raw.get_xdata()) == 100
    np.testing.assert_allclose(mean.get_ydata(), 3 * mean.get_xdata())


def test_curves_are_drawn_the_same_twice():
    first, second = (viz.to_png(viz.learning_curves(ROWS), dpi=50) for _ in range(2))
    assert first == second


def test_rows_without_step_or_numbers_are_refused():
    with pytest.raises(ValueError, match=r"rows must each have 'step'; row 0 has \['a'\]"):
        viz.learning_curves([{"a": 1.0}])
    with pytest.raises(ValueError, match="rows must hold a finite number beside 'step'"):
        viz.learning_curves([])


def test_error_by_glimpse_counts_from_one_and_names_the_last():
    figure = viz.error_by_glimpse(
        *np.array([[0.5, 0.2], [0.4, 0.1], [0.6, 0.3]]), label="at the mean"
    )
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 0.5], [2, 0.2]])
    assert names(axes) == ["at the mean: 20.00 % after 2"]
    assert axes.yaxis.get_major_formatter()(0.5) == "50 %"
    assert len(axes.collections) == 1


def test_several_series_and_no_band_where_there_is_no_interval():
    a = tuple(np.array([[0.5, 0.01], [0.4, 0.0], [0.6, 0.02]]))
    series = {"a": a, "b": (np.array([0.3]), None, None)}
    (axes,) = viz.error_by_glimpse(series).axes
    assert (len(axes.lines), len(axes.collections)) == (2, 1)
    assert axes.get_yscale() == "log"
    assert axes.lines[0].get_marker() != axes.lines[1].get_marker()
    viz.to_png(axes.figure, dpi=50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.2], [0.4], [0.6, 0.3]), r"low must have shape \[T=2\].*got \[1\]"),
        (([0.5], [0.4], None), "low and high of 'error' must be given together"),
        (([50.0], None, None), r"errors of 'error' must be fractions in \[0, 1\]; got \[50.0\]"),
        (({},), "at least one series"),
    ],
)
@pytest.mark.usefixtures("bad_input")
def test_bad_series_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        viz.error_by_glimpse(*arguments)
