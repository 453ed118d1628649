"""What the native kernels compute, in XLA: on other platforms, and for their derivatives."""

from typing import NamedTuple

from jax import Array

from attn_jax.ops import xla
from attn_jax.ops.grids import affine_grid


class Spec(NamedTuple):
    """What is static of a sampler."""

    padding: str
    align_corners: bool
    size: tuple[int, int] | None  # (h, w) of an affine grid; None where a grid is given
    axes: int  # how many a grid's points have: [*n, 2]


def sample(image: Array, where: Array, fill: Array, spec: Spec) -> Array:
    """[H, W, C] at a grid [*n, 2] or theta's, [2, 3]; `fill` [C] is what lies outside: [*n, C]."""
    grid = where
    if spec.size is not None:
        grid = affine_grid(where, spec.size, align_corners=spec.align_corners)
    return xla.sample(image, grid, fill, "bilinear", spec.padding, spec.align_corners)
