"""Proposals: where might I look? The learned part of a mechanism.

Each has `prepare(x)`, once per input, and `__call__(memory, s)`, once per step, both batched.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.modules.attend import Memory
from attn_jax.modules.layers import relu_layers
from attn_jax.ops import additive_scores, dot_scores, mask_scores, scaled_dot_scores
from attn_jax.types import PyTree

View = Callable[[Array], Array]


def everything(s: Array) -> Array:
    """The view that hides nothing; `jax.lax.stop_gradient` is the one that detaches."""
    return s


class _Unprepared(nn.Module):
    """Nothing of it depends on x alone."""

    def prepare(self, x: Array) -> None:
        """Nothing."""
        del x


class AdditiveScores(nn.Module):
    """e_i = v . tanh(W_a a_i + W_h h + b), over items [L, D] or places [H, W, D].

    Attributes:
      features: A, the width of the comparison.
      view: applied to s first.
    """

    features: int
    view: View = everything
    dtype: Any = None

    def setup(self) -> None:
        self.annotations = nn.Dense(self.features, dtype=self.dtype)
        self.query = nn.Dense(self.features, use_bias=False, dtype=self.dtype)
        self.v = self.param("v", nn.initializers.normal(self.features**-0.5), (self.features,))

    def prepare(self, x: Array) -> Array:
        """W_a a + b, [B, L, A]."""
        return self.annotations(x)

    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        query = self.query(self.view(s))
        scores = jax.vmap(additive_scores, (0, 0, None))(memory.keys, query, self.v)
        return _masked(scores, memory.mask)


class DotScores(_Unprepared):
    """e_i = a_i . h, which have one width  (Luong et al. 2015, "dot"). It has no parameters.

    Attributes:
      view: applied to s first.
    """

    view: View = everything

    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        return _masked(jax.vmap(dot_scores)(memory.x, self.view(s)), memory.mask)


class BilinearScores(_Unprepared):
    """e_i = a_i^T W h  (Luong et al. 2015, "general").

    Attributes:
      view: applied to s first.
    """

    view: View = everything
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        query = nn.Dense(memory.x.shape[-1], use_bias=False, dtype=self.dtype)(self.view(s))
        return _masked(jax.vmap(dot_scores)(memory.x, query), memory.mask)


class ScaledDotScores(nn.Module):
    """e_i = (W_k a_i) . (W_q h) / sqrt(A)  (Vaswani et al. 2017, eq. 1).

    Attributes:
      features: A.
      view: applied to s first.
    """

    features: int
    view: View = everything
    dtype: Any = None

    def setup(self) -> None:
        self.annotations = nn.Dense(self.features, use_bias=False, dtype=self.dtype)
        self.query = nn.Dense(self.features, use_bias=False, dtype=self.dtype)

    def prepare(self, x: Array) -> Array:
        """W_k a, [B, L, A]."""
        return self.annotations(x)

    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        scores = jax.vmap(scaled_dot_scores)(memory.keys, self.query(self.view(s)))
        return _masked(scores, memory.mask)


class JointScores(_Unprepared):
    """e = W tanh(U x + V h + b): scores of scalar items x [D], told apart by their place.

    The lecture's own form, e_t = g(x_t, s_{t-1}): the scores of vectors, which are shared between
    places, would treat equal scalars alike.

    Attributes:
      features: width of the tanh layer.
      view: applied to s first.
    """

    features: int
    view: View = everything
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, D]; -inf where masked."""
        x = memory.x
        if x.ndim != 2:
            raise ValueError(f"JointScores takes scalar items [B, D]; got shape {x.shape}")
        both = jnp.concatenate([x, self.view(s).astype(x.dtype)], axis=-1)
        h = jnp.tanh(nn.Dense(self.features, dtype=self.dtype)(both))
        return _masked(nn.Dense(x.shape[-1], dtype=self.dtype)(h), memory.mask)


class StateScores(_Unprepared):
    """e = W h_{t-1}: from the state alone  (Sharma et al. 2016).

    Attributes:
      shape: (L,) or (H, W).
      view: applied to s first.
    """

    shape: Sequence[int]
    view: View = everything
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        scores = nn.Dense(math.prod(self.shape), dtype=self.dtype)(self.view(s))
        return _masked(scores.reshape(-1, *self.shape), memory.mask)


def _masked(scores: Array, mask: Array | None) -> Array:
    return mask_scores(scores, mask)  # elementwise: a batch is masked as one example is


class Location(_Unprepared):
    """mu = squash(MLP(view(s))), the mean of the next location, (x, y).

    Attributes:
      hidden: widths of ReLU layers before the linear one; () as in the paper.
      squash: to [-1, 1]: `jnp.tanh`, or a clip.
      view: applied to s first; `jax.lax.stop_gradient` keeps the policy out of the core.
      sigma: None: mu alone. A number: (mu, sigma) is proposed, sigma = that number times
        exp(linear in the last layer), at first the number itself.

    Raises:
      ValueError: if sigma is not positive.
    """

    hidden: Sequence[int] = ()
    squash: View = jnp.tanh
    view: View = everything
    dtype: Any = None
    sigma: float | None = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> PyTree:
        """mu [B, 2], or (mu [B, 2], sigma [B, 2]), at least float32."""
        del memory
        if self.sigma is not None and not self.sigma > 0:
            raise ValueError(f"sigma must be positive; got {self.sigma:g}")
        h = relu_layers(self.view(s), self.hidden, self.dtype).astype(jnp.float32)
        mu = self.squash(nn.Dense(2)(h))
        if self.sigma is None:
            return mu
        grown = nn.Dense(2, kernel_init=nn.initializers.zeros, name="log_sigma")(h)
        return mu, self.sigma * jnp.exp(grown)


class Affine(_Unprepared):
    """theta = A(s), a 2x3 matrix; at first the identity  (Jaderberg et al. 2015).

    Attributes:
      hidden: widths of ReLU layers before the last, which starts at zero weights.
      scale: of the identity it starts from: below 1 it zooms in.
      view: applied to s first.
    """

    hidden: Sequence[int] = ()
    scale: float = 1.0
    view: View = everything
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """theta [B, 2, 3], at least float32."""
        del memory
        h = relu_layers(self.view(s), self.hidden, self.dtype)
        start = jnp.array([self.scale, 0, 0, 0, self.scale, 0], jnp.float32)
        last = nn.Dense(6, kernel_init=nn.initializers.zeros, bias_init=lambda *_: start)
        return last(h.astype(jnp.float32)).reshape(-1, 2, 3)


SQUASHES: Mapping[str, View] = {"tanh": jnp.tanh, "clip": lambda mu: jnp.clip(mu, -1, 1)}


@runtime_checkable
class MakeScores(Protocol):
    """Makes a proposal of scores.

    Args of a call:
      features: A, the width of the comparison.
      view: applied to the state first.
      dtype: of the computation.
      places: (L,) or (H, W), the shape of what is scored.
    """

    def __call__(
        self, features: int, view: View, dtype: Any, places: Sequence[int], /
    ) -> nn.Module: ...


SCORES: Mapping[str, MakeScores] = {
    "additive": lambda features, view, dtype, places: AdditiveScores(features, view, dtype),
    "scaled_dot": lambda features, view, dtype, places: ScaledDotScores(features, view, dtype),
    "dot": lambda features, view, dtype, places: DotScores(view),
    "bilinear": lambda features, view, dtype, places: BilinearScores(view, dtype),
    "state": lambda features, view, dtype, places: StateScores(places, view, dtype),
}
