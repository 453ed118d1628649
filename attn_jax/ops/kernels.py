"""Interpolation kernels: which pixels of an axis a place reads, and their weights.

A kernel of K taps reads the pixels first, ..., first + K - 1 of an axis. Their weights are
functions of the place's fraction t = place - floor(place), in [0, 1].
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax import Array

_KEYS_A = -0.75  # PyTorch's cubic; Keys' own is -0.5


@runtime_checkable
class TapWeights(Protocol):
    """Gives the K weights [n] of the taps at fractions t [n]."""

    def __call__(self, t: Array, /) -> list[Array]: ...


class Kernel(NamedTuple):
    """The interpolation kernel of a mode.

    Attributes:
      taps: K, even, or 1.
      weights: t [n] -> K weights [n], of the pixels floor - K/2 + 1, ..., floor + K/2; None for the
        single nearest pixel.
      volumes: whether it also samples volumes.
      taylor: whether `jax.experimental.jet` has the weights' Taylor coefficients.
    """

    taps: int
    weights: TapWeights | None
    volumes: bool
    taylor: bool = True

    @property
    def half(self) -> int:
        """The number of taps on either side of a place."""
        return self.taps // 2


def _hat(t: Array) -> list[Array]:
    return [1 - t, t]


def _cubic(t: Array) -> list[Array]:
    """Keys' kernel (1981, eq. 4): one cubic on |d| <= 1 and another on 1 < |d| < 2."""
    a = _KEYS_A

    def near(d: Array) -> Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(1 + t), near(t), near(1 - t), far(2 - t)]


def _lanczos3(t: Array) -> list[Array]:
    """sinc(d) sinc(d/3), over the sum of the six weights, so that a constant stays constant."""
    # |sin(pi d)| is the same for all taps, and exactly 0 on a pixel: the others then weigh nothing.
    sine = jnp.sin(np.pi * jnp.minimum(t, 1 - t)) / np.pi
    third = np.pi / 3

    def beside(d: Array) -> Array:  # |d| <= 1
        near = d < 0.5
        sinc = jnp.where(near, jnp.sinc(jnp.where(near, d, 0.0)), sine / jnp.where(near, 1.0, d))
        return sinc * jnp.sinc(d / 3)

    def beyond(d: Array) -> Array:  # 1 <= |d| <= 3, up to the sign
        return sine * jnp.sin(third * d) / (third * d * d)

    raw = [beyond(t + 2), -beyond(t + 1), beside(t), beside(1 - t), -beyond(2 - t), beyond(3 - t)]
    total = sum(raw[1:], raw[0])
    return [weight / total for weight in raw]


KERNELS: Mapping[str, Kernel] = {
    "nearest": Kernel(1, None, True),
    "bilinear": Kernel(2, _hat, True),
    "bicubic": Kernel(4, _cubic, False),
    "lanczos3": Kernel(6, _lanczos3, False, taylor=False),
}


def first_and_fraction(kernel: Kernel, place: Array) -> tuple[Array, Array]:
    """The first pixel read, int32, and the fraction t; nearest rounds halves to even."""
    if kernel.weights is None:
        return jnp.rint(place).astype(jnp.int32), jnp.zeros_like(place)
    floor = jnp.floor(place)
    return floor.astype(jnp.int32) - (kernel.half - 1), place - floor
