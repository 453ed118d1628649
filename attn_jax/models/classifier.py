"""The shell every classifier shares: a recurrence, a head for the class, a head for the value."""

from typing import NamedTuple

import flax.linen as nn
import jax
from jax import Array

from attn_jax.modules import Memory, Unroll
from attn_jax.types import Key, Trace


class Outputs(NamedTuple):
    """What one rollout gives.

    Attributes:
      logits: [B, T, C] after each step that was asked for.
      value: [B, T], the reward expected at t, known from s_{t-1}.
      trace: leaves [B, T, ...].
    """

    logits: Array
    value: Array
    trace: Trace


class RecurrentClassifier(nn.Module):
    """Any mechanism, any core, and what it concludes at each step.

    Attributes:
      unroll: the recurrence.
      classify: state -> logits.
      value: state -> the reward to expect.
      encode: input -> what is attended to; None: the input itself.
    """

    unroll: Unroll
    classify: nn.Module
    value: nn.Module
    encode: nn.Module | None = None

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """What depends on x alone: once, whatever the number of rollouts."""
        return self.unroll.prepare(x if self.encode is None else self.encode(x), mask)

    def rollout(
        self,
        memory: Memory,
        keys: Key | None = None,
        inputs: Array | None = None,
        answers: slice = slice(None),
    ) -> Outputs:
        """One rollout of what was prepared; vmap it over keys [M, B, T] for more.

        `answers` are the steps that are classified: training needs the last alone.
        """
        _, trace = self.unroll(memory, keys, inputs)
        # The value reads s_{t-1}: s_t has seen what the choice brought, and would bias it.
        answered = jax.tree.map(lambda s: s[:, answers], trace.state)
        return Outputs(self.classify(answered), self.value(trace.before), trace)

    def __call__(
        self,
        x: Array,
        keys: Key | None = None,
        inputs: Array | None = None,
        mask: Array | None = None,
    ) -> Outputs:
        """Prepare x [B, ...] and roll out once, with keys [B, T]."""
        return self.rollout(self.prepare(x, mask), keys, inputs)
