"""Attend: propose, choose, read. Here kernels of one example are mapped over a batch."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax import Array

from attn_jax.checks import check_channels_last, check_keys
from attn_jax.fit import check_fit
from attn_jax.types import Estimator, Key, PyTree, Read, Selection


class Memory(NamedTuple):
    """An input with all that is computed of it once, outside the scan.

    Attributes:
      x: what is read, [B, ...]; [B, T, ...] for sequences.
      keys: what the proposal prepared of x, such as projected annotations; None if nothing.
      mask: True for items or places that exist, [B, L] or [B, H, W]; None: all exist.
    """

    x: Array
    keys: PyTree = None
    mask: Array | None = None


class Attend(nn.Module):
    """x'_t = f_att(x_t, s_{t-1}).

    Attributes:
      propose: a module with `prepare(x)` and `__call__(memory, s)` -> proposal, both of batches.
      estimator: makes the choice; `estimator.at_mode()` chooses without sampling.
      read: what is seen where the choice fell.
      start: makes the first choice of a rollout; None: `estimator` makes it too.

    Raises:
      TypeError: for what is no estimator or no read.
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
        """Precompute the part of f_att that depends on x alone.

        Raises:
          ValueError: for images with their channels first.
        """
        if self.read.takes != "weights":
            check_channels_last("x", x.shape)
        propose: Any = self.propose
        return Memory(x, propose.prepare(x), mask)

    def __call__(
        self, memory: Memory, s: PyTree, keys: Key | None, first: Array
    ) -> tuple[Array, Selection]:
        """Choose where to look, and read there.

        Args:
          memory: of `prepare`, at this step.
          s: s_{t-1}, leaves [B, ...].
          keys: [B], one for each example; None if nothing is sampled.
          first: [], whether this is the first choice of the rollout.

        Returns:
          The glimpse x'_t [B, ...], and the selection, leaves [B, ...].

        Raises:
          ValueError, TypeError: for what are not keys [B].
        """
        if keys is not None:
            check_keys("keys", keys, memory.x.shape[:1], strict=False)
        proposal = self.propose(memory, s)
        choose = jax.vmap(self.estimator.choose)
        if self.start is None:
            selection = choose(keys, proposal)
        else:
            start = jax.vmap(self.start.choose)
            selection = jax.lax.cond(first, start, choose, keys, proposal)
        return jax.vmap(self.read.apply)(memory.x, selection.where), selection
