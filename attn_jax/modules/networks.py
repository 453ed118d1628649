"""Feed-forward networks that make features [B, F] of whole images."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.checks import check_channels_last
from attn_jax.modules.convolutions import Conv
from attn_jax.modules.layers import relu_layers
from attn_jax.ops import max_pool


class ConvNet(nn.Module):
    """Features [B, F] of images [B, H, W, C]: convolutions without padding, then dense layers.

    The planes of a volume [B, D, H, W, C] are channels of an image, D C in all. Each convolution is
    followed by ReLU and by max pooling over 2x2, which is left out where the map is one pixel high
    or wide. The last map is flattened; dense layers alone take features [B, ...] as well.

    Attributes:
      filters: the width of each convolution; () for dense layers alone.
      kernels: the side of each one's kernel, pixels.
      hidden: widths of ReLU layers after the last map.
      shrink: side of the blocks that the image is averaged over first; 1: none.
      dtype: of the computation.

    Raises:
      ValueError: if a kernel is larger than the map before it, or their numbers differ.

    Reference: Jaderberg et al. 2015, appendix A.
    """

    filters: Sequence[int] = ()
    kernels: Sequence[int] = ()
    hidden: Sequence[int] = ()
    shrink: int = 1
    dtype: Any = None

    def __post_init__(self) -> None:
        if len(self.filters) != len(self.kernels):
            raise ValueError(
                f"filters and kernels must be as many; got {self.filters} and {self.kernels}"
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, *, every: bool = False) -> Array | tuple[Array, ...]:
        """Compute the features; if `every`, those of each map [B, F_i] before the dense layers'."""
        maps = []
        x = _shrunk(x, self.shrink) if self.shrink > 1 else x
        if x.ndim == 5:
            x = jnp.moveaxis(x, 1, 3).reshape(x.shape[0], *x.shape[2:4], -1)
        check_channels_last("x", x.shape)
        for width, side in zip(self.filters, self.kernels, strict=True):
            if side > min(x.shape[1:3]):
                raise ValueError(
                    f"a kernel must fit into the map before it, {x.shape[1]}x{x.shape[2]} here; "
                    f"got {side}x{side}"
                )
            x = nn.relu(Conv(width, (side, side), padding="VALID", dtype=self.dtype)(x))
            x = max_pool(x, 2) if min(x.shape[1:3]) > 1 else x
            maps.append(x.reshape(x.shape[0], -1))
        features = relu_layers(x.reshape(x.shape[0], -1), self.hidden, self.dtype)
        return (*maps, features) if every else features


def _shrunk(x: Array, side: int) -> Array:
    """The mean of each block of `side` pixels along each axis; what is left over is cut."""
    for axis in range(1, x.ndim - 1):
        whole = x.shape[axis] // side
        kept = jnp.take(x, jnp.arange(whole * side), axis)
        x = kept.reshape(*x.shape[:axis], whole, side, *x.shape[axis + 1 :]).mean(axis + 1)
    return x
