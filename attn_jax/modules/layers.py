"""Layers and views of the state that several modules share."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
from jax import Array


@runtime_checkable
class View(Protocol):
    """Gives what a module sees of the state [..., S]: all of it, or all without its gradient."""

    def __call__(self, s: Array, /) -> Array: ...


def full_view(s: Array) -> Array:
    """Return the state as it is; `jax.lax.stop_gradient` is the view that detaches it."""
    return s


def relu_layers(h: Array, widths: Sequence[int], dtype: Any = None) -> Array:
    """Apply a ReLU layer of each width in turn; to be called inside a compact method."""
    for width in widths:
        h = nn.relu(nn.Dense(width, dtype=dtype)(h))
    return h
