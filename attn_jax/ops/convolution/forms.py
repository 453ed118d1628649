"""Which form a convolution has on a CPU, by its geometry; measured by `benchmark --what=conv`."""

import jax.numpy as jnp

from attn_jax.ops.convolution.geometry import Geometry


def tile(operation: str, geometry: Geometry, channels: tuple[int, int], dtype) -> int | None:
    """Choose the columns of a tile of the banded product, or None for a canonical convolution.

    Args:
      operation: "forward", "to_input" or "to_kernel".
      geometry: of the convolution.
      channels: (C, O) of a group.
      dtype: that of the computation; XLA's convolutions in float64 are naive loops.
    """
    (_, w), (kh, kw) = geometry.out, geometry.kernel
    if dtype == jnp.float64:
        return 1
    if channels[0] <= 4 and kh * kw > 1:
        return min(4, w)
    return None
