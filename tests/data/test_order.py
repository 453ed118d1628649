"""The order of examples is a pure function of the seed and the step."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_jax.data import batch_ids, bucketed_ids, shard_batch
from attn_jax.data.order import _permutation
from tests.source_checks import refuses


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


def test_the_result_depends_on_the_arguments_alone():
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
def test_arguments_out_of_range_are_refused(changed: dict, message: str):
    arguments = {"seed": 0, "n": 4, "batch": 2, "start": 0, "count": 1}
    with pytest.raises(ValueError, match=message):
        batch_ids(**arguments | changed)


cases = given(
    seed=st.integers(0, 5),
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=40).map(np.array),
    batch=st.integers(1, 7),
    window=st.integers(1, 6),
    data=st.data(),
)


@cases
def test_a_window_of_buckets_holds_what_it_held_before(seed, lengths, batch, window, data):
    number = data.draw(st.integers(0, 4))
    steps = (number * window, window)
    bucketed = bucketed_ids(seed, lengths, batch, *steps, window=window)
    plain = batch_ids(seed, len(lengths), batch, *steps)
    assert sorted(bucketed.ravel()) == sorted(plain.ravel())
    # Between batches of one window, lengths do not overlap.
    spans = sorted((lengths[row].min(), lengths[row].max()) for row in bucketed)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@cases
def test_a_bucketed_step_depends_on_the_seed_and_the_step_alone(seed, lengths, batch, window, data):
    whole = bucketed_ids(seed, lengths, batch, 0, 20, window=window)
    start = data.draw(st.integers(0, 19))
    count = data.draw(st.integers(0, 20 - start))
    part = bucketed_ids(seed, lengths, batch, start, count, window=window)
    assert part.shape == (count, batch)
    assert part.dtype == np.int32
    np.testing.assert_array_equal(part, whole[start : start + count])


def padded(ids: np.ndarray, lengths: np.ndarray) -> int:
    """Padding of all batches, each as long as its longest example."""
    return int((lengths[ids].max(axis=1, keepdims=True) - lengths[ids]).sum())


def test_buckets_need_less_padding():
    lengths = np.random.default_rng(0).geometric(0.1, 1000)
    plain = padded(batch_ids(0, 1000, 20, 0, 100), lengths)
    small, large = (
        padded(bucketed_ids(0, lengths, 20, 0, 100, window=window), lengths) for window in (5, 50)
    )
    assert large < small / 3 < plain / 6


def test_windows_and_seeds_have_orders_of_their_own():
    lengths = np.arange(60)
    seeds = [bucketed_ids(seed, lengths, 10, 0, 12, window=6) for seed in (0, 1)]
    means = [lengths[ids].mean(axis=1).reshape(2, 6).argsort(axis=1) for ids in seeds]
    orders = {tuple(order) for both in means for order in both}
    assert len(orders) == 4


def test_the_bucketed_order_is_the_same_on_every_machine_and_version():
    ids = bucketed_ids(0, np.array([3, 1, 2, 5, 4, 0, 7, 6]), 2, 3, 4, window=4)
    assert ids.tolist() == GOLDEN_BUCKETS


GOLDEN_BUCKETS = [[7, 6], [5, 1], [2, 0], [4, 3]]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": -1}, "seed must be at least 0; got -1"),
        ({"lengths": np.zeros(0, int)}, "n must be at least 1; got 0"),
        ({"batch": 0}, "batch must be at least 1; got 0"),
        ({"start": -2}, "start must be at least 0; got -2"),
        ({"count": -1}, "count must be at least 0; got -1"),
        ({"window": 0}, "window must be at least 1; got 0"),
    ],
)
@pytest.mark.parametrize("count", [0, 1])
def test_buckets_out_of_range_are_refused(changed: dict, message: str, count: int):
    arguments = {"seed": 0, "lengths": np.arange(4), "batch": 2, "start": 0, "count": count}
    with refuses(message):
        bucketed_ids(**arguments | changed)


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_the_shards_side_by_side_are_the_batches(processes: int):
    ids = batch_ids(0, 50, 6, 0, 4)
    parts = [shard_batch(ids, index, processes) for index in range(processes)]
    assert {part.shape for part in parts} == {(4, 6 // processes)}
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), ids)


@pytest.mark.parametrize(
    ("index", "processes", "message"),
    [
        (0, 4, "batch must be a multiple of the 4 processes; got 6"),
        (2, 2, "index must lie in 0 to 1; got 2"),
        (-1, 2, "index must lie in 0 to 1; got -1"),
        (0, 0, "processes must be at least 1; got 0"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(index: int, processes: int, message: str):
    with refuses(message):
        shard_batch(np.zeros((2, 6), int), index, processes)
