"""Text to text: attention over the characters read, one character said a step.

Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and translate",
ICLR 2015.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
from jax import Array

from attn_jax.models.classifier import Outputs
from attn_jax.modules import (
    Attend,
    Classifier,
    ClosedLoop,
    Core,
    Flat,
    MeanState,
    Memory,
    Step,
    TextEncoder,
    Unroll,
    Value,
)
from attn_jax.types import Estimator, Key, Read


class Seq2Seq(nn.Module):
    """An encoder, a closed loop that attends to what it encoded, and a head for the value.

    Attributes:
      encode: codes [B, L] -> annotations [B, L, D].
      unroll: of a closed loop.
      value: state -> the reward to expect.
    """

    encode: nn.Module
    unroll: Unroll
    value: nn.Module

    def prepare(self, codes: Array, mask: Array | None = None) -> Memory:
        """What depends on the text alone: once, whatever the number of rollouts."""
        there = codes != 0 if mask is None else mask
        return self.unroll.prepare(self.encode(codes), there)

    def rollout(
        self,
        memory: Memory,
        keys: Key | None = None,
        inputs: Array | None = None,
        answers: slice = slice(None),
    ) -> Outputs:
        """One rollout of what was prepared; vmap it over keys [M, B, T] for more.

        `inputs` are the tokens before each one, [B, T] of `shifted`; None: its own.
        """
        _, said = self.unroll(memory, keys, inputs)
        return Outputs(said.logits[:, answers], self.value(said.trace.before), said.trace)

    def __call__(
        self, codes: Array, keys: Key | None = None, inputs: Array | None = None
    ) -> Outputs:
        """Prepare codes [B, L], 0 where they are padding, and roll out once."""
        return self.rollout(self.prepare(codes), keys, inputs)


def seq2seq(
    *,
    propose: nn.Module,
    estimator: Estimator,
    read: Read,
    vocabulary: int,
    num_tokens: int,
    num_steps: int,
    cells: Sequence[nn.RNNCellBase],
    embedding: int = 32,
    encoder_features: int = 64,
    remat: bool = False,
    unroll: int = 1,
    dtype: Any = None,
) -> Seq2Seq:
    """Sequence to sequence by any mechanism over items.

    Args:
      propose: scores of the annotations.
      estimator: of weights or a one-hot; `estimator.at_mode()` chooses without sampling.
      read: `weighted_sum()`.
      vocabulary: codes of the input, 0 the padding.
      num_tokens: V, of the output.
      num_steps: T.
      cells: the decoder's.
      embedding: width of a character's embedding, read or said.
      encoder_features: units of the encoder in each direction.
      remat: recompute a step's activations in the backward pass.
      unroll: steps laid out in one turn of the loop.
      dtype: of the computation; parameters stay float32.

    Raises:
      ValueError: if the read does not take what the estimator gives.
    """
    step = Step(
        attend=Attend(propose, estimator, read),
        fuse=Flat(None, dtype),
        core=Core(cells),
        start=MeanState((1,), dtype=dtype),
    )
    loop = ClosedLoop(
        step, nn.Embed(num_tokens + 1, embedding, dtype=dtype), Classifier(num_tokens, dtype=dtype)
    )
    return Seq2Seq(
        encode=TextEncoder(vocabulary, embedding, encoder_features, dtype),
        unroll=Unroll(loop, num_steps, remat=remat, unroll=unroll),
        value=Value(jax.lax.stop_gradient, dtype),
    )
