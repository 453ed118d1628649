"""The samplers' benchmark: the same values from all, checked before they are timed."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops
from attn_jax.errors import UserError
from attn_jax.yardsticks import kernels, kernels_table
from attn_jax.yardsticks.kernels import (
    OPERATIONS,
    Shape,
    Timing,
    geometric_means,
    make_inputs,
    measure,
    of_jax,
    peers,
)

SMALL = Shape(3, 9, 8, 2, 5, 6)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_SECONDS", 0.0)
    monkeypatch.setattr(kernels_table, "copy_rate", lambda: 10.0)


def test_transforms_differ_and_look_outside():
    theta = make_inputs(SMALL).theta
    corners = theta @ np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]).T
    assert (np.abs(corners) > 1).any() and (np.abs(corners) < 1).any()
    assert len(np.unique(theta[:, 0, 0])) == 3


def test_bytes_are_every_pixel_and_result_once():
    assert SMALL.bytes == 4 * 3 * 2 * (9 * 8 + 5 * 6)


def test_everyone_here_gives_the_same_values():
    rows = measure([SMALL], peers())
    names = {row.peer for row in rows}
    assert {"xla", "map_coordinates"} <= names
    assert len(rows) == len(names) * len(OPERATIONS)
    assert all(row.milliseconds > 0 for row in rows)
    assert all((row.gigabytes is not None) == (row.operation == "forward") for row in rows)
    assert max(row.difference for row in rows) < 1e-4


def test_what_differs_is_not_timed():
    def off(image, theta, size):
        return 1.1 * ops.affine_sample(image, theta, size)

    wrong = {"xla": of_jax(ops.affine_sample), "off": of_jax(off)}
    with pytest.raises(UserError, match="forward of 3x9x8x2 -> 5x6: off differs by 0.1 of"):
        measure([SMALL], wrong)


def test_geometric_means_are_over_shapes():
    rows = [
        Timing(shape, "forward", peer, time, 1.0, 0.0, 0.0)
        for shape, peer, time in (
            ("a", "xla", 1.0), ("a", "torch", 2.0), ("b", "xla", 8.0), ("b", "torch", 4.0),
        )
    ]  # fmt: skip
    means = geometric_means(rows)
    assert means == {"forward": {"xla": pytest.approx(1.0), "torch": 1.0}}
    assert geometric_means(rows[::2]) == {}
    assert math.isclose(geometric_means(rows[:2])["forward"]["xla"], 0.5)


def test_the_table_has_a_row_a_shape_and_operation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels_table, "REPORTED", [SMALL])
    monkeypatch.setattr(
        kernels_table, "SWEEPS", {n: [SMALL] for n in ("side", "batch", "channels")}
    )
    monkeypatch.setattr(kernels_table, "peers", lambda: {"xla": of_jax(ops.affine_sample)})
    table, plain, png = kernels_table.benchmark_kernels(sweep=True)
    assert table.count("3x9x8x2 -> 5x6") == len(OPERATIONS)
    assert table.count("retina of 128x60x60x1") == len(OPERATIONS)
    assert len(plain["reported"]) == 2 * len(OPERATIONS)
    assert plain["copy_gb_per_second"] == 10.0
    assert png is not None and png.startswith(b"\x89PNG")
    assert jnp.isfinite(plain["reported"][0]["milliseconds"])
