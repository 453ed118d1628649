"""The closed loop: a step whose next input is its own last output."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.modules.attend import Memory
from attn_jax.types import Key, PyTree, Trace


class Decoded(NamedTuple):
    """The result of one step of a closed loop; `Unroll` makes the leaves [B, T, ...].

    Attributes:
      trace: of the step.
      logits: [B, V], of the next token.
      token: [B], the likeliest one.
    """

    trace: Trace
    logits: Array
    token: Array


class ClosedLoop(nn.Module):
    """y_t = argmax p(y_t | y_{t-1}, s_t): each token is the input of the next step.

    Where tokens are given they are the inputs instead (teacher forcing). `Unroll` scans it like any
    step.

    Attributes:
      step: its input is the embedded token.
      embed: tokens [B] -> [B, E], of V + 1 tokens, of which the last marks the start.
      classify: state -> logits [B, V].
    """

    step: nn.Module
    embed: nn.Module
    classify: nn.Module

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """Compute once what depends on x alone."""
        step: Any = self.step
        return step.prepare(x, mask)

    def initial(self, x: Array, mask: Array | None = None) -> PyTree:
        """The first carry: that of the step, and the start token [B]."""
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
        """Run one step from the tokens `inputs` [B], or from its own last ones if that is None."""
        inner, token = carry
        before = token if inputs is None else inputs
        inner, trace = self.step(inner, memory, self.embed(before), keys, first)
        logits = self.classify(trace.state)
        token = logits.argmax(-1).astype(token.dtype)
        return (inner, token), Decoded(trace, logits, token)


def shifted(targets: Array, start: int) -> Array:
    """The inputs of teacher forcing, [B, T]: `start`, then all targets [B, T] but the last.

    >>> shifted(jnp.array([[5, 6, 7]]), 9).tolist()
    [[9, 5, 6]]
    """
    first = jnp.full_like(targets[:, :1], start)
    return jnp.concatenate([first, targets[:, :-1]], axis=1)
