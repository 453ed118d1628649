"""Pure kernels on one example: no parameters, no Flax. Batches come from `jax.vmap`."""

from attn_jax.ops import native, transforms
from attn_jax.ops.convolution import conv
from attn_jax.ops.filterbank import gaussian_filters, gaussian_grid
from attn_jax.ops.frames import from_pixel_matrix, to_pixel_matrix
from attn_jax.ops.grids import affine_grid, axis_coordinates, to_pixels
from attn_jax.ops.homographies import projective_grid
from attn_jax.ops.members import READS, MakeRead, ReadMember
from attn_jax.ops.pooling import max_pool
from attn_jax.ops.reads import affine, check_glimpse, crop, mask, retina, weighted_sum
from attn_jax.ops.sampling import affine_sample, grid_sample
from attn_jax.ops.scoring import (
    additive_scores,
    categorical_entropy,
    check_places,
    dot_scores,
    entropy,
    mask_scores,
    masked_log_softmax,
    masked_softmax,
    scaled_dot_scores,
)
from attn_jax.ops.simplex import sparsemax
from attn_jax.ops.thin_plate import control_grid, thin_plate_spline_grid
from attn_jax.ops.warps import projective, thin_plate_spline

__all__ = [
    "READS",
    "MakeRead",
    "ReadMember",
    "additive_scores",
    "affine",
    "affine_grid",
    "affine_sample",
    "axis_coordinates",
    "categorical_entropy",
    "check_glimpse",
    "check_places",
    "control_grid",
    "conv",
    "crop",
    "dot_scores",
    "entropy",
    "from_pixel_matrix",
    "gaussian_filters",
    "gaussian_grid",
    "grid_sample",
    "mask",
    "mask_scores",
    "masked_log_softmax",
    "masked_softmax",
    "max_pool",
    "native",
    "projective",
    "projective_grid",
    "retina",
    "scaled_dot_scores",
    "sparsemax",
    "thin_plate_spline",
    "thin_plate_spline_grid",
    "to_pixel_matrix",
    "to_pixels",
    "transforms",
    "weighted_sum",
]
