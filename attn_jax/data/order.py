"""The order in which examples are seen, as a pure function of the seed and the step number."""

from functools import lru_cache

import numpy as np
from jaxtyping import Int32, Integer

# Windows draw from keys that no epoch has: epochs are numbered from 0, dates use 2**32 and above.
_WINDOWS = 2**33


@lru_cache(maxsize=4)  # few are in use at a time: a batch lies in one or two epochs
def _permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    # Raw bits are sorted because NumPy keeps them from version to version; what
    # Generator.permutation gives may change.
    bits = np.random.Philox(key=[seed, epoch]).random_raw(n)
    order = np.argsort(bits, kind="stable").astype(np.int32)
    order.setflags(write=False)  # shared by every caller
    return order


def batch_ids(
    seed: int, n: int, batch: int, start: int, count: int
) -> Int32[np.ndarray, "count batch"]:
    """Ids of the examples of steps `start` to `start + count - 1`.

    Step s takes places s * batch to (s + 1) * batch - 1 of one endless stream, the
    permutations of epochs 0, 1, 2, ... end to end. Nothing is dropped or repeated at an
    epoch's end, so a batch there holds the end of one epoch and the start of the next.
    The result depends on the arguments alone: the step number is the whole data position.

    Args:
      seed: of the order, at least 0.
      n: examples in the split, at least 1.
      batch: examples in a step, at least 1; may exceed n.
      start: the first step, at least 0.
      count: how many steps, at least 0.

    Returns:
      Ids in [0, n), one row a step.

    Raises:
      ValueError: if an argument is out of range.

    >>> batch_ids(seed=0, n=4, batch=2, start=0, count=2).ravel().tolist()
    [0, 2, 1, 3]
    >>> bool((batch_ids(0, 4, 2, 1, 1) == batch_ids(0, 4, 2, 0, 2)[1:]).all())
    True
    """
    _check_range(seed=seed, start=start, count=count)
    _check_range(1, n=n, batch=batch)
    places = start * batch + np.arange(count * batch, dtype=np.int64)
    epochs, within = np.divmod(places, n)
    ids = np.empty(len(places), np.int32)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        ids[here] = _permutation(seed, int(epoch), n)[within[here]]
    return ids.reshape(count, batch)


def bucketed_ids(
    seed: int,
    lengths: Integer[np.ndarray, "N"],
    batch: int,
    start: int,
    count: int,
    *,
    window: int = 64,
) -> Int32[np.ndarray, "count batch"]:
    """Like `batch_ids`, but examples of like length share a batch, so that less is padded.

    The stream of `batch_ids` is cut into windows of `window` batches. The examples of a window
    are sorted by length and cut into batches, and the batches are permuted. A window holds the same
    examples as without sorting, so nothing is dropped or repeated. Step s depends on (seed, s).

    Args:
      seed: of the order, at least 0.
      lengths: of each example, at least one.
      batch: examples in a step, at least 1.
      start: the first step, at least 0.
      count: how many steps, at least 0.
      window: batches that are sorted together, at least 1; more of them need less padding, and
        spread an example's epoch over more steps.

    Returns:
      Ids in [0, N), one row a step.

    Raises:
      ValueError: if an argument is out of range.

    >>> lengths = np.array([1, 9, 1, 9])
    >>> lengths[bucketed_ids(0, lengths, batch=2, start=0, count=2, window=2)].tolist()
    [[9, 9], [1, 1]]
    """
    _check_range(seed=seed, start=start, count=count)
    _check_range(1, n=len(lengths), batch=batch, window=window)
    ids = np.empty((count, batch), np.int32)
    steps = np.arange(start, start + count)
    for number in np.unique(steps // window):
        here = steps // window == number
        rows = _window_ids(seed, lengths, batch, int(number), window)
        ids[here] = rows[steps[here] % window]
    return ids


def _window_ids(seed: int, lengths: np.ndarray, batch: int, number: int, window: int) -> np.ndarray:
    """The batches of one window, in the order in which they are seen."""
    ids = batch_ids(seed, len(lengths), batch, number * window, window).ravel()
    by_length = ids[np.argsort(lengths[ids], kind="stable")].reshape(window, batch)
    bits = np.random.Philox(key=[seed, _WINDOWS + number]).random_raw(window)
    return by_length[np.argsort(bits, kind="stable")]


def shard_batch(
    ids: Integer[np.ndarray, "count batch"], index: int, processes: int
) -> Integer[np.ndarray, "count share"]:
    """The part of each batch that one of several processes reads.

    Args:
      ids: the whole batches, the same in every process.
      index: of the process, in [0, processes).
      processes: how many share a batch.

    Returns:
      Contiguous columns; the parts of processes 0, 1, ... side by side are the batches.

    Raises:
      ValueError: if the processes do not divide the batch, or the index is out of range.

    >>> shard_batch(np.arange(8).reshape(2, 4), index=1, processes=2).tolist()
    [[2, 3], [6, 7]]
    """
    _check_range(1, processes=processes)
    if not 0 <= index < processes:
        raise ValueError(f"index must lie in 0 to {processes - 1}; got {index}")
    share, rest = divmod(ids.shape[1], processes)
    if rest:
        raise ValueError(
            f"batch must be a multiple of the {processes} processes; got {ids.shape[1]}"
        )
    return ids[:, index * share : (index + 1) * share]


def _check_range(least: int = 0, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}; got {value}")
