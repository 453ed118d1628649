"""Proposals: where might I look? They are the learned part of a mechanism.

Each has `prepare(x)`, called once per input, and `__call__(memory, s)`, called once per step; both
take batches.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.modules.attend import Memory
from attn_jax.modules.layers import View, full_view, relu_layers
from attn_jax.modules.warps import first_constant
from attn_jax.ops import additive_scores, dot_scores, mask_scores, scaled_dot_scores
from attn_jax.types import PyTree


@runtime_checkable
class Squash(Protocol):
    """Maps the mean of a location into [-1, 1]."""

    def __call__(self, mu: Array, /) -> Array: ...


class _Unprepared(nn.Module):
    """A proposal with nothing to prepare."""

    def prepare(self, x: Array) -> None:
        """Return None: no part of the proposal depends on x alone."""
        del x


class AdditiveScores(nn.Module):
    """Additive scores e_i = v . tanh(W_a a_i + W_h h + b), of items [L, D] or places [H, W, D].

    Attributes:
      features: A, the width of the comparison.
      view: applied to s first.
      dtype: of the computation.
    """

    features: int
    view: View = full_view
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
    """Dot products e_i = a_i . h of items and state, which have one width; without parameters.

    Reference: Luong et al. 2015, "dot".

    Attributes:
      view: applied to s first.
    """

    view: View = full_view

    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        return _masked(jax.vmap(dot_scores)(memory.x, self.view(s)), memory.mask)


class BilinearScores(_Unprepared):
    """Bilinear scores e_i = a_i^T W h  (Luong et al. 2015, "general").

    Attributes:
      view: applied to s first.
      dtype: of the computation.
    """

    view: View = full_view
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        query = nn.Dense(memory.x.shape[-1], use_bias=False, dtype=self.dtype)(self.view(s))
        return _masked(jax.vmap(dot_scores)(memory.x, query), memory.mask)


class ScaledDotScores(nn.Module):
    """Scaled dot products e_i = (W_k a_i) . (W_q h) / sqrt(A)  (Vaswani et al. 2017, eq. 1).

    Attributes:
      features: A.
      view: applied to s first.
      dtype: of the computation.
    """

    features: int
    view: View = full_view
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
    """Scores of scalar items x [D] by one network of all of them: e = W tanh(U x + V h + b).

    This is the lecture's form, e_t = g(x_t, s_{t-1}). The other scores share their weights between
    items, and would give equal scalars equal scores.

    Attributes:
      features: width of the tanh layer.
      view: applied to s first.
      dtype: of the computation.
    """

    features: int
    view: View = full_view
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
    """Scores of the state alone: e = W h_{t-1}  (Sharma et al. 2016).

    Attributes:
      shape: (L,) or (H, W).
      view: applied to s first.
      dtype: of the computation.
    """

    shape: Sequence[int]
    view: View = full_view
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """e [B, L] or [B, H, W]; -inf where masked."""
        scores = nn.Dense(math.prod(self.shape), dtype=self.dtype)(self.view(s))
        return _masked(scores.reshape(-1, *self.shape), memory.mask)


def _masked(scores: Array, mask: Array | None) -> Array:
    return mask_scores(scores, mask)  # elementwise, so that it takes a batch as well


class Location(_Unprepared):
    """The mean of the next location (x, y): mu = squash(MLP(view(s))).

    Attributes:
      hidden: widths of ReLU layers before the linear one; () as in the paper.
      squash: maps into [-1, 1]; see `SQUASHES`.
      view: applied to s first; with `jax.lax.stop_gradient` the policy does not train the core.
      dtype: of the computation in the hidden layers.
      sigma: None: mu alone is proposed. A number: (mu, sigma) is proposed, where sigma is that
        number times exp(linear layer), and the number itself at first.

    Raises:
      ValueError: if sigma is not positive.
    """

    hidden: Sequence[int] = ()
    squash: Squash = jnp.tanh
    view: View = full_view
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
        log_growth = nn.Dense(2, kernel_init=nn.initializers.zeros, name="log_sigma")(h)
        return mu, self.sigma * jnp.exp(log_growth)


class Affine(_Unprepared):
    """An affine transform theta [2, 3] = A(s), at first `scale` times the identity.

    It is `Warp` of `ops.transforms.full_affine()` without a localisation network.

    Reference: Jaderberg et al. 2015.

    Attributes:
      hidden: widths of ReLU layers before the last, whose weights start at zero.
      scale: of the first transform; below 1 it zooms in.
      view: applied to s first.
      dtype: of the computation in the hidden layers.
    """

    hidden: Sequence[int] = ()
    scale: float = 1.0
    view: View = full_view
    dtype: Any = None

    @nn.compact
    def __call__(self, memory: Memory, s: Array) -> Array:
        """theta [B, 2, 3], at least float32."""
        del memory
        start = jnp.array([self.scale, 0, 0, 0, self.scale, 0], jnp.float32)
        theta = first_constant(self.view(s), self.hidden, start, self.dtype)
        return theta.reshape(-1, 2, 3)


# name -> (mean of a location) -> the mean, in [-1, 1].
SQUASHES: Mapping[str, Squash] = {"tanh": jnp.tanh, "clip": lambda mu: jnp.clip(mu, -1, 1)}


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


# name -> (features, view, dtype, places) -> a proposal of scores; those that need less ignore it.
SCORES: Mapping[str, MakeScores] = {
    "additive": lambda features, view, dtype, places: AdditiveScores(features, view, dtype),
    "scaled_dot": lambda features, view, dtype, places: ScaledDotScores(features, view, dtype),
    "dot": lambda features, view, dtype, places: DotScores(view),
    "bilinear": lambda features, view, dtype, places: BilinearScores(view, dtype),
    "state": lambda features, view, dtype, places: StateScores(places, view, dtype),
}
