"""Feeds: what the next updates are handed, a pure function of their step numbers."""

import jax
import numpy as np

from attn_jax.data import batch_ids, shard_batch
from attn_jax.training.experiment import Feed


def feed_ids(seed: int, total: int, batch: int) -> Feed:
    """Ids [count, B / processes] of resident examples, this process's part of each batch."""

    def feed(step: int, count: int) -> np.ndarray:
        ids = batch_ids(seed, total, batch, step, count)
        return shard_batch(ids, jax.process_index(), jax.process_count())

    return feed
