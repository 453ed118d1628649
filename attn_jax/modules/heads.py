"""Heads: what is made of a state. They work on any leading axes."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.modules.layers import relu_layers


class Classifier(nn.Module):
    """Logits [..., C] from a state [..., S], in float32."""

    num_classes: int
    hidden: Sequence[int] = ()
    dtype: Any = None

    @nn.compact
    def __call__(self, s: Array) -> Array:
        s = relu_layers(s, self.hidden, self.dtype)
        return nn.Dense(self.num_classes, dtype=self.dtype)(s).astype(jnp.float32)


class Value(nn.Module):
    """b = v(view(s)), [...] from [..., S]: the reward to expect.

    Attributes:
      view: what the regression may shape; by default the head alone, not the state.
    """

    view: Callable[[Array], Array] = jax.lax.stop_gradient
    dtype: Any = None

    @nn.compact
    def __call__(self, s: Array) -> Array:
        return nn.Dense(1, dtype=self.dtype)(self.view(s)).astype(jnp.float32)[..., 0]


class Flat(nn.Module):
    """Fuses by concatenation: the glimpse flattened, and the input of the moment, if any.

    Attributes:
      features: width of a ReLU layer over them; None: none.
    """

    features: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, glimpse: Array, where: Any, inputs: Array | None) -> Array:
        del where
        u = glimpse.reshape(glimpse.shape[0], -1)
        if inputs is not None:
            u = jnp.concatenate([u, inputs], axis=-1)
        return u if self.features is None else nn.relu(nn.Dense(self.features, dtype=self.dtype)(u))
