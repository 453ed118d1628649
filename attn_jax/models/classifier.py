"""The recurrent classifier: a recurrence, a head for the class, and a head for the value."""

from typing import NamedTuple

import flax.linen as nn
import jax
from jax import Array

from attn_jax.modules import Memory, Unroll
from attn_jax.types import Key, Trace


class Outputs(NamedTuple):
    """The outputs of one rollout.

    Attributes:
      logits: [B, T, C], after each of the steps asked for.
      value: [B, T], the reward expected at t, from s_{t-1}.
      trace: leaves [B, T, ...].
    """

    logits: Array
    value: Array
    trace: Trace


class RecurrentClassifier(nn.Module):
    """A classifier of any mechanism and any core, with logits after each step.

    Attributes:
      unroll: the recurrence.
      classify: state -> logits.
      value: state -> the expected reward.
      encode: input -> what is attended to; None: the input itself.
    """

    unroll: Unroll
    classify: nn.Module
    value: nn.Module
    encode: nn.Module | None = None

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """Compute what depends on x alone, once for all rollouts."""
        return self.unroll.prepare(x if self.encode is None else self.encode(x), mask)

    def rollout(
        self,
        memory: Memory,
        keys: Key | None = None,
        inputs: Array | None = None,
        answers: slice = slice(None),
    ) -> Outputs:
        """Roll out once; vmap it over keys [M, B, T] for M rollouts.

        Args:
          memory: of `prepare`.
          keys: [B, T]; None if nothing is sampled.
          inputs: [B, T, ...], one for each step; None if there are none.
          answers: the steps to classify; training needs only the last.
        """
        _, trace = self.unroll(memory, keys, inputs)
        # The value reads s_{t-1}: s_t depends on the choice at t, so that its baseline is biased.
        answered = jax.tree.map(lambda s: s[:, answers], trace.state)
        return Outputs(self.classify(answered), self.value(trace.before), trace)

    def __call__(
        self,
        x: Array,
        keys: Key | None = None,
        inputs: Array | None = None,
        mask: Array | None = None,
    ) -> Outputs:
        """Prepare x [B, ...] and roll out once, with keys [B, T] as `rollout` takes them."""
        return self.rollout(self.prepare(x, mask), keys, inputs)
