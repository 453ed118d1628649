"""Sequence to sequence: attention over the input's characters, one output character a step.

Reference: Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and
translate", ICLR 2015.
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
    """An encoder, a closed loop that attends to the annotations, and a head for the value.

    Attributes:
      encode: codes [B, L] -> annotations [B, L, D].
      unroll: of a closed loop.
      value: state -> the expected reward.
    """

    encode: nn.Module
    unroll: Unroll
    value: nn.Module

    def prepare(self, codes: Array, mask: Array | None = None) -> Memory:
        """Compute what depends on the text alone, once for all rollouts; code 0 is masked."""
        is_code = codes != 0 if mask is None else mask
        return self.unroll.prepare(self.encode(codes), is_code)

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
          inputs: the tokens before each output, [B, T] of `shifted` (teacher forcing); None: the
            model's own.
          answers: the steps whose logits to return.
        """
        _, decoded = self.unroll(memory, keys, inputs)
        value = self.value(decoded.trace.before)
        return Outputs(decoded.logits[:, answers], value, decoded.trace)

    def __call__(
        self, codes: Array, keys: Key | None = None, inputs: Array | None = None
    ) -> Outputs:
        """Prepare codes [B, L], 0 at padding, and roll out once, as `rollout` does."""
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
    """Make a sequence-to-sequence model with any mechanism over items.

    Args:
      propose: a proposal of scores of the annotations.
      estimator: of weights or a one-hot; `estimator.at_mode()` chooses without sampling.
      read: `weighted_sum()`.
      vocabulary: the number of codes in the input; code 0 is padding.
      num_tokens: V, the number of tokens in the output.
      num_steps: T.
      cells: of the decoder.
      embedding: width of the embeddings, of input and output characters.
      encoder_features: units of the encoder in each direction.
      remat: recompute a step's activations in the backward pass.
      unroll: the number of steps in one iteration of the loop.
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
