"""The convolutions' benchmark: the same values from all, checked before they are timed."""

import numpy as np
import pytest

from attn_jax import ops
from attn_jax.errors import UserError
from attn_jax.yardsticks import convolutions, kernels
from attn_jax.yardsticks.convolutions import (
    OPERATIONS,
    Layer,
    make_inputs,
    measure,
    of_jax,
    peers,
    with_the_faster,
)
from attn_jax.yardsticks.kernels import Timing

SMALL = Layer(2, 6, 2, 3, 4, 2)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_SECONDS", 0.0)


def test_inputs_have_the_layers_shapes():
    images, kernel, cotangent = make_inputs(Layer(2, 7, 3, 5, 4, 2, "VALID"))
    assert images.shape == (2, 7, 7, 3)
    assert kernel.shape == (5, 5, 3, 4)
    assert cotangent.shape == (2, 2, 2, 4)
    assert {one.dtype for one in (images, kernel, cotangent)} == {np.dtype(np.float32)}


def test_everyone_here_gives_the_same_values_in_a_loop_too():
    rows = measure([SMALL], peers())
    names = {row.peer for row in rows}
    assert {"ours", "ours in a loop", "lax", "lax in a loop"} <= names
    assert len(rows) == len(names) * len(OPERATIONS)
    assert all(row.milliseconds > 0 for row in rows)
    assert max(row.difference for row in rows) < 1e-5


def test_what_differs_is_not_timed():
    def off(images, kernel, layer):
        return 1.1 * ops.conv(images, kernel, strides=layer.stride)

    wrong = {"ours": of_jax(convolutions._ours), "off": of_jax(off, 2)}
    message = r"forward of 2x6x6x2, 3x3 -> 4, stride 2, SAME: off differs by 0.1 of"
    with pytest.raises(UserError, match=message):
        measure([SMALL], wrong)


def row(peer: str, time: float) -> Timing:
    return Timing("a", "forward", peer, time, None, 0.0, 0.0)


def test_the_faster_layout_is_compared_with():
    rows = with_the_faster([row("ours", 1.0), row("torch", 4.0), row("torch, channels last", 2.0)])
    assert rows[-1] == row("faster torch", 2.0) and len(rows) == 4
    assert with_the_faster([row("ours", 1.0)]) == [row("ours", 1.0)]


def test_the_table_has_a_row_a_layer_and_operation(monkeypatch: pytest.MonkeyPatch):
    timed = [row("ours", 1.0), row("ours in a loop", 3.0), row("torch", 2.0)]
    timed += [one._replace(operation="forward+backward") for one in timed]
    monkeypatch.setattr(convolutions, "measure", lambda layers, found: timed)
    table, plain, picture = convolutions.benchmark_convolutions()
    assert "| forward | a | 1.000 | 3.000 | 2.000 | 1.50 | 0.00 |\n" in table
    assert table.count("geometric mean") == len(OPERATIONS)
    assert plain["geometric_means_of_torch"]["forward"]["ours in a loop"] == pytest.approx(1.5)
    assert picture is None
