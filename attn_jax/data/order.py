"""The order in which examples are seen, as a pure function of the step number."""

from functools import lru_cache

import numpy as np
from jaxtyping import Int32


@lru_cache(maxsize=4)  # a batch touches one or two epochs; a resumed run needs no history
def _permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    # Sorting raw bits: NumPy keeps these between versions, but not Generator.permutation's.
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
    given = {"seed": seed, "n": n, "batch": batch, "start": start, "count": count}
    least = {"n": 1, "batch": 1}
    for name, value in given.items():
        if value < least.get(name, 0):
            raise ValueError(f"{name} must be at least {least.get(name, 0)}; got {value}")
    places = start * batch + np.arange(count * batch, dtype=np.int64)
    epochs, within = np.divmod(places, n)
    ids = np.empty(len(places), np.int32)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        ids[here] = _permutation(seed, int(epoch), n)[within[here]]
    return ids.reshape(count, batch)
