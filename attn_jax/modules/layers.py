"""What several modules begin with."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
from jax import Array


def relu_layers(h: Array, widths: Sequence[int], dtype: Any = None) -> Array:
    """h through a ReLU layer a width; to be called inside a compact method."""
    for width in widths:
        h = nn.relu(nn.Dense(width, dtype=dtype)(h))
    return h
