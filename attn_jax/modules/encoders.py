"""Encoders: what is known before the first glimpse."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.modules.layers import relu_layers
from attn_jax.types import PyTree


class MeanState(nn.Module):
    """(carry, s_0) = tanh MLPs of the mean annotation  (Xu et al. 2015, section 3.1.2).

    Attributes:
      axes: of x [B, ...] to average over; () takes x flattened, an image say.
      hidden: widths of ReLU layers before the tanh ones.
    """

    axes: Sequence[int] = (1,)
    hidden: Sequence[int] = ()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, zeros: tuple[PyTree, Array]) -> tuple[PyTree, Array]:
        """A state in the shape of `zeros`, (core carry, s)."""
        h = jnp.mean(x, tuple(self.axes)) if self.axes else x
        h = h.reshape(h.shape[0], -1)
        h = relu_layers(h, self.hidden, self.dtype)

        def filled(zero: Array) -> Array:
            return jnp.tanh(nn.Dense(zero.shape[-1], dtype=self.dtype)(h)).astype(zero.dtype)

        cells, _ = zeros
        carry = tuple(
            tuple(map(filled, cell)) if isinstance(cell, tuple) else filled(cell) for cell in cells
        )
        last = carry[-1]
        return carry, last[-1] if isinstance(last, tuple) else last
