"""The closed loop: a step whose next input is its own last answer."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.modules.attend import Memory
from attn_jax.types import Key, PyTree, Trace


class Decoded(NamedTuple):
    """What a moment of a closed loop leaves behind; `Unroll` makes the leaves [B, T, ...].

    Attributes:
      trace: of the step.
      logits: [B, V], of the next token.
      token: [B], the likeliest.
    """

    trace: Trace
    logits: Array
    token: Array


class ClosedLoop(nn.Module):
    """y_t = argmax p(y_t | y_{t-1}, s_t): each token is fed back, unless another is given.

    Given tokens are teacher forcing; `Unroll` scans it like any step.

    Attributes:
      step: takes the embedded token as the input of its moment.
      embed: tokens [B] -> [B, E], of one token more than there are answers: the start is the last.
      classify: state -> logits [B, V].
    """

    step: nn.Module
    embed: nn.Module
    classify: nn.Module

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """What depends on x alone, computed once."""
        step: Any = self.step
        return step.prepare(x, mask)

    def initial(self, x: Array, mask: Array | None = None) -> PyTree:
        """(carry of the step, the token before), before anything was said."""
        step, embed = self.step, self.embed
        start: Any = embed.num_embeddings - 1
        return step.initial(x, mask), jnp.full((x.shape[0],), start, jnp.int32)

    def __call__(
        self,
        carry: PyTree,
        memory: Memory,
        inputs: Array | None,
        keys: Key | None,
        first: Array,
    ) -> tuple[PyTree, Decoded]:
        """One moment; inputs are tokens [B] in the place of its own, None for its own."""
        inner, token = carry
        before = token if inputs is None else inputs
        inner, trace = self.step(inner, memory, self.embed(before), keys, first)
        logits = self.classify(trace.state)
        token = logits.argmax(-1).astype(token.dtype)
        return (inner, token), Decoded(trace, logits, token)


def shifted(targets: Array, start: int) -> Array:
    """What teacher forcing feeds: `start`, then the targets [B, T] but the last.

    >>> shifted(jnp.array([[5, 6, 7]]), 9).tolist()
    [[9, 5, 6]]
    """
    first = jnp.full_like(targets[:, :1], start)
    return jnp.concatenate([first, targets[:, :-1]], axis=1)
