"""A convolutional layer that trains fast on a CPU too."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array

from attn_jax import ops
from attn_jax.ops.convolution.geometry import Padding, make_pair


class Conv(nn.Module):
    """The layer `flax.linen.Conv` of images [..., H, W, C], by `ops.conv`.

    Parameters have the names, shapes and first values of Flax's: each loads the other's.

    Attributes:
      features: the number of filters, O.
      kernel_size: (kh, kw), or one number for both.
      strides: (rows, columns), or one number for both.
      padding: "SAME", "VALID" or ((before, after), (before, after)), as of `ops.conv`.
      use_bias: whether a bias [O] is added.
      dtype: of the computation.
      feature_group_count: the groups of `ops.conv`.
      kernel_init, bias_init: make the first parameters.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Padding = "SAME"
    use_bias: bool = True
    dtype: Any = None
    feature_group_count: int = 1
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Give [..., h, w, O]."""
        sides, groups = make_pair("kernel_size", self.kernel_size), self.feature_group_count
        shape = (*sides, x.shape[-1] // groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        out = ops.conv(x, kernel, strides=self.strides, padding=self.padding, groups=groups)
        return out if bias is None else out + bias.reshape((1,) * (out.ndim - 1) + (-1,))
