"""The confusion matrix: what is written where."""

import numpy as np
import pytest

from attn_jax import viz


def cells(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_counts_stand_in_their_cells_and_names_at_the_sides():
    figure = viz.confusion(np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]]), ["ant", "bee", "cat"])
    axes = figure.axes[0]
    assert cells(figure) == ["8", "", "2", "", "5", "", "", "", ""]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["ant", "bee", "cat"]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(shares, [[0.8, 0, 0.2], [0, 1, 0], [0, 0, 0]])


def test_many_classes_have_no_numbers_and_fit():
    figure = viz.confusion(np.eye(200, dtype=int), [f"class {i}" for i in range(200)])
    assert cells(figure) == []
    assert max(figure.get_size_inches()) < 14


def test_names_are_no_mathematics_and_not_too_long():
    names = ["$a$ & $b$", r"$\nothing$", "c" * 200]
    figure = viz.confusion(np.eye(3, dtype=int), names)
    assert viz.to_png(figure).startswith(b"\x89PNG")
    assert max(figure.get_size_inches()) < 8


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="counts must have shape"):
        viz.confusion(np.zeros((2, 3), int), ["a", "b"])
    with pytest.raises(ValueError, match="class_names must have shape"):
        viz.confusion(np.zeros((2, 2), int), ["a", "b", "c"])
