"""Heads, which read a state [..., S] with any leading axes, and the fusion of glimpse and input."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.checks import check_count
from attn_jax.modules.layers import View, relu_layers


class Classifier(nn.Module):
    """Logits [..., C] from a state [..., S], in float32.

    Attributes:
      num_classes: C.
      hidden: widths of ReLU layers before the linear one.
      dtype: of the computation.
    """

    num_classes: int
    hidden: Sequence[int] = ()
    dtype: Any = None

    def __post_init__(self) -> None:
        check_count("num_classes", self.num_classes)
        super().__post_init__()

    @nn.compact
    def __call__(self, s: Array) -> Array:
        s = relu_layers(s, self.hidden, self.dtype)
        return nn.Dense(self.num_classes, dtype=self.dtype)(s).astype(jnp.float32)


class Value(nn.Module):
    """The expected reward v(view(s)), [...] from [..., S], in float32.

    Attributes:
      view: applied to s first; by default it stops the gradient, so that the regression trains the
        head alone.
      dtype: of the computation.
    """

    view: View = jax.lax.stop_gradient
    dtype: Any = None

    @nn.compact
    def __call__(self, s: Array) -> Array:
        return nn.Dense(1, dtype=self.dtype)(self.view(s)).astype(jnp.float32)[..., 0]


class Flat(nn.Module):
    """Fusion by concatenation: the glimpse flattened, and the input of this step, if any.

    Attributes:
      features: width of a ReLU layer over them; None: no layer.
      dtype: of the computation.
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
