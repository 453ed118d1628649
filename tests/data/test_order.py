"""The order of examples is a pure function of the step."""

import numpy as np
import pytest

from attn_jax.data import batch_ids
from attn_jax.data.order import _permutation


@pytest.mark.parametrize(("n", "batch"), [(10, 5), (10, 3), (7, 20), (1, 2)])
def test_each_epoch_is_a_permutation_and_nothing_is_dropped(n: int, batch: int):
    steps = -(-5 * n // batch)
    stream = batch_ids(seed=3, n=n, batch=batch, start=0, count=steps).ravel()
    for epoch in range(5):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_epochs_and_seeds_have_orders_of_their_own():
    epochs = batch_ids(seed=0, n=100, batch=100, start=0, count=3)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert (batch_ids(1, 100, 100, 0, 3) != epochs).any(axis=1).all()


def test_any_slice_of_the_steps_agrees_with_the_whole():
    whole = batch_ids(seed=5, n=23, batch=4, start=0, count=40)
    for start, count in [(0, 1), (5, 1), (5, 12), (39, 1), (17, 23), (8, 0)]:
        part = batch_ids(seed=5, n=23, batch=4, start=start, count=count)
        assert part.shape == (count, 4)
        np.testing.assert_array_equal(part, whole[start : start + count])


def test_it_is_pure():
    first = batch_ids(seed=2, n=50, batch=8, start=100, count=3)
    _permutation.cache_clear()
    again = batch_ids(seed=2, n=50, batch=8, start=100, count=3)
    again[:] = 0  # a caller may write into what it got
    np.testing.assert_array_equal(batch_ids(seed=2, n=50, batch=8, start=100, count=3), first)
    assert first.dtype == np.int32


def test_the_order_is_the_same_on_every_machine_and_version():
    assert batch_ids(seed=0, n=8, batch=4, start=0, count=4).tolist() == GOLDEN


GOLDEN = [[0, 2, 1, 5], [4, 3, 6, 7], [5, 3, 7, 2], [4, 1, 0, 6]]


def test_a_far_step_costs_no_more_than_a_near_one():
    assert batch_ids(seed=0, n=1000, batch=10, start=10**12, count=2).shape == (2, 10)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": -1}, "seed must be at least 0; got -1"),
        ({"n": 0}, "n must be at least 1; got 0"),
        ({"batch": 0}, "batch must be at least 1; got 0"),
        ({"start": -2}, "start must be at least 0; got -2"),
        ({"count": -1}, "count must be at least 0; got -1"),
    ],
)
def test_refused(changed: dict, message: str):
    arguments = {"seed": 0, "n": 4, "batch": 2, "start": 0, "count": 1}
    with pytest.raises(ValueError, match=message):
        batch_ids(**arguments | changed)
