"""Where transformers read is kept at each validation, and drawn in the end."""

import io
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from attn_jax.ops import transforms
from attn_jax.parts import history
from attn_jax.parts.history import Watched, evenly, transform_history
from attn_jax.training.experiment import History
from attn_jax.training.state import TrainState

SHIFT = transforms.translation(0.5)


def state_of(x: float) -> TrainState:
    """A state whose parameters are the place where all is read."""
    return TrainState(jnp.zeros((), int), jnp.zeros(2), jnp.array([x, 0.0]), (), (), ())


@pytest.fixture
def shifted() -> History:
    """Two transformers that read the same place of three images."""
    images = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8, 1)

    def where(params, x):
        return jnp.broadcast_to(SHIFT.apply(params), (len(x), 2, 2, 3))

    def reads(x, where):
        grids = np.stack([[SHIFT.grid(one, (4, 4)) for one in pair] for pair in where])
        return jnp.asarray(grids), jnp.zeros((*where.shape[:2], 4, 4, 1))

    return transform_history(lambda: Watched(images, list("abc")), (2, 2, 3), where, reads)


def kept(shifted: History, places: list[float]) -> list[dict[str, float]]:
    return [{"step": 10 * i, **shifted.keep(state_of(x))} for i, x in enumerate(places)]


def test_a_row_has_all_numbers_of_all_transforms(shifted: History):
    [row] = kept(shifted, [0.25])
    numbers = np.array([row[f"where/{i}"] for i in range(36)]).reshape(3, 2, 2, 3)
    np.testing.assert_array_equal(numbers[2, 1], [[0.5, 0, 0.25], [0, 0.5, 0]])
    assert len(row) == 37


def frames(drawn: dict[str, Any]) -> int:
    with Image.open(io.BytesIO(drawn["transforms.gif"].data)) as gif:
        return gif.n_frames


def test_each_row_is_a_frame(shifted: History):
    assert frames(shifted.draw(kept(shifted, [0.0, 0.25, 0.5]))) == 3


def test_a_long_training_has_its_first_and_last_frames(
    shifted: History, monkeypatch: pytest.MonkeyPatch
):
    drawn = []
    monkeypatch.setattr(history.viz, "transforms_gif", lambda *a, **_: drawn.append(a) or b"GIF")
    shifted.draw(kept(shifted, [0.01 * i for i in range(100)]))
    [(images, grids, views, steps)] = drawn
    assert (len(steps), steps[0], steps[-1]) == (40, 0, 990)
    assert (images.shape, grids.shape) == ((3, 8, 8, 1), (40, 3, 2, 4, 4, 2))
    assert images.max() <= 1
    assert views.shape == (40, 3, 2, 4, 4, 1)


def test_a_damaged_row_is_left_out_and_one_alone_is_not_drawn(shifted: History):
    rows = kept(shifted, [0.0, 0.1, 0.2])
    rows[1]["whre/3"] = rows[1].pop("where/3")
    assert frames(shifted.draw(rows)) == 2
    assert shifted.draw(rows[:2]) == {}
    assert shifted.draw([]) == {}


@pytest.mark.parametrize("count", [1, 2, 39, 40, 41, 1000])
def test_frames_are_spread_evenly(count: int):
    chosen = evenly(count)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    assert len(set(chosen)) == len(chosen) == min(count, 40)
