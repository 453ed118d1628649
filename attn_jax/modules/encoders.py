"""Encoders: of what is attended to, and of the first state."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.checks import check_channels_last
from attn_jax.modules.convolutions import Conv
from attn_jax.modules.layers import relu_layers
from attn_jax.ops import axis_coordinates
from attn_jax.types import PyTree


class ConvMap(nn.Module):
    """A feature map [B, h, w, D] of images [B, H, W, C]: 3x3 convolutions of stride 2.

    Attributes:
      features: the width of each layer; the last is D.
      dtype: of the computation.
      coordinates: whether the last layer sees (x, y) of each place beside its window, so that a sum
        over places still depends on where features were (after Liu et al. 2018).
    """

    features: Sequence[int] = (16, 32)
    dtype: Any = None
    coordinates: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        check_channels_last("x", x.shape)
        for i, width in enumerate(self.features, start=1):
            channels = x.shape[-1]
            x = Conv(width, (3, 3), strides=2, dtype=self.dtype)(x)
            if self.coordinates and i == len(self.features):
                # The first values have the spread of one layer of windows and coordinates.
                spread = 2 / (9 * channels + 2)
                start = nn.initializers.variance_scaling(spread, "fan_in", "truncated_normal")
                seen = nn.Dense(width, use_bias=False, dtype=self.dtype, kernel_init=start)
                x += seen(_coordinates(x))
            x = nn.relu(x)
        return x


def _coordinates(x: Array) -> Array:
    """The coordinates (x, y) of each place of a map [B, h, w, D], as [1, h, w, 2]."""
    height, width = x.shape[1:3]
    y, x_ = jnp.meshgrid(axis_coordinates(height), axis_coordinates(width), indexing="ij")
    return jnp.stack([x_, y], -1)[None].astype(x.dtype)


class Items(nn.Module):
    """The places of a map as items, [B, h w, D].

    Attributes:
      encode: a module that gives the map [B, h, w, D].
    """

    encode: nn.Module

    def __call__(self, x: Array) -> Array:
        features = self.encode(x)
        return features.reshape(features.shape[0], -1, features.shape[-1])


class MeanState(nn.Module):
    """The first carry and state, by tanh layers of the mean annotation.

    Masked annotations are left out of the mean. Reference: Xu et al. 2015, section 3.1.2.

    Attributes:
      axes: the axes of x [B, ...] to average over; () takes x flattened instead, such as an image.
      hidden: widths of ReLU layers before the tanh layers.
      dtype: of the computation.
    """

    axes: Sequence[int] = (1,)
    hidden: Sequence[int] = ()
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: Array, zeros: tuple[PyTree, Array], mask: Array | None = None
    ) -> tuple[PyTree, Array]:
        """(core carry, s_0) in the shapes and dtypes of `zeros`."""
        h = _mean(x, tuple(self.axes), mask) if self.axes else x
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


def _mean(x: Array, axes: tuple[int, ...], mask: Array | None) -> Array:
    """The mean over the places that the mask [B, ...] keeps; 0 where it keeps none."""
    if mask is None:
        return jnp.mean(x, axes)
    kept = mask[..., None].astype(x.dtype)
    return (x * kept).sum(axes) / jnp.maximum(kept.sum(axes), 1)


class TextEncoder(nn.Module):
    """Annotations a_i = [h_i forward; h_i backward] of a bidirectional GRU (Bahdanau et al. 2015).

    Attributes:
      vocabulary: the number of codes; code 0 is padding, at the end of a text.
      embedding: width of a code's embedding.
      features: units in each direction.
      dtype: of the computation.
    """

    vocabulary: int
    embedding: int = 32
    features: int = 64
    dtype: Any = None

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        """Encode codes [B, L] as annotations [B, L, 2 features], which are 0 at padding."""
        is_code = codes != 0
        embedded = nn.Embed(self.vocabulary, self.embedding, dtype=self.dtype)(codes)
        onward, back = (nn.RNN(nn.GRUCell(self.features, dtype=self.dtype)) for _ in range(2))
        lengths = is_code.sum(-1).astype(jnp.int32)
        both = nn.Bidirectional(onward, back)(embedded, seq_lengths=lengths)
        return both * is_code[..., None].astype(both.dtype)
