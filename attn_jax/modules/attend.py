"""Attend: propose, choose, read. The one seam where single-example kernels meet a batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax import Array

from attn_jax.types import Choose, Key, PyTree, Selection


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
      choose: an estimator's `choose` or `greedy`, on one example.
      read: a read's `apply`, on one example.
      start: how the first choice of a rollout is made, if not by `choose`.
    """

    propose: nn.Module
    choose: Choose
    read: Callable[[Array, PyTree], Array]
    start: Choose | None = None

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """What of f_att depends on x alone."""
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
        choose = jax.vmap(self.choose)
        if self.start is None:
            selection = choose(keys, proposal)
        else:
            selection = jax.lax.cond(first, jax.vmap(self.start), choose, keys, proposal)
        return jax.vmap(self.read)(memory.x, selection.where), selection
