"""The native kernels' formula in XLA, for other platforms and for further derivatives."""

from typing import NamedTuple

from jax import Array

from attn_jax.ops import xla
from attn_jax.ops.grids import affine_grid


class Spec(NamedTuple):
    """The static arguments of a sampler."""

    padding: str
    align_corners: bool
    size: tuple[int, int] | None  # (h, w) of an affine grid; None where a grid is given
    axes: int  # the number of axes n of a grid [*n, 2]


def sample(image: Array, where: Array, fill: Array, spec: Spec) -> Array:
    """Sample an image [H, W, C] at a grid [*n, 2], or at that of theta [2, 3], to [*n, C].

    `fill` [C] is the value outside the image.
    """
    grid = where
    if spec.size is not None:
        grid = affine_grid(where, spec.size, align_corners=spec.align_corners)
    return xla.sample(image, grid, fill, "bilinear", spec.padding, spec.align_corners)
