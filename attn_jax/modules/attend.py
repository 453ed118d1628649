"""Attend: propose, choose, read. The one seam where single-example kernels meet a batch."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax import Array

from attn_jax.fit import check_fit
from attn_jax.types import Estimator, Key, PyTree, Read, Selection


class Memory(NamedTuple):
    """What is prepared once, outside the scan.

    Attributes:
      x: what is read, [B, ...]; [B, T, ...] for sequences.
      keys: what the proposal made of it (projected annotations); None if nothing.
      mask: which items or places there are; None for all.
    """

    x: Array
    keys: PyTree = None
    mask: Array | None = None


class Attend(nn.Module):
    """x'_t = f_att(x_t, s_{t-1}).

    Attributes:
      propose: a module with `prepare(x)` and `__call__(memory, s)` -> proposal, batched.
      estimator: makes the choice; `estimator.at_mode()` chooses without sampling.
      read: what is seen where the choice fell.
      start: makes the first choice of a rollout; None: `estimator` makes it too.

    Raises:
      ValueError: if the read does not take what an estimator gives.
    """

    propose: nn.Module
    estimator: Estimator
    read: Read
    start: Estimator | None = None

    def __post_init__(self) -> None:
        check_fit(self.estimator, self.read)
        if self.start is not None:
            check_fit(self.start, self.read)
        super().__post_init__()

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """Precompute the part of f_att that depends on x alone."""
        propose: Any = self.propose
        return Memory(x, propose.prepare(x), mask)

    def __call__(
        self, memory: Memory, s: PyTree, keys: Key | None, first: Array
    ) -> tuple[Array, Selection]:
        """The glimpse x'_t [B, ...] and where it was taken.

        Args:
          memory: of `prepare`, at this moment.
          s: s_{t-1}, leaves [B, ...].
          keys: [B], one an example; None if nothing is sampled.
          first: [], whether this is the first choice of the rollout.
        """
        proposal = self.propose(memory, s)
        choose = jax.vmap(self.estimator.choose)
        if self.start is None:
            selection = choose(keys, proposal)
        else:
            start = jax.vmap(self.start.choose)
            selection = jax.lax.cond(first, start, choose, keys, proposal)
        return jax.vmap(self.read.apply)(memory.x, selection.where), selection
