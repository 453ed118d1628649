"""Pure kernels on one example: no parameters, no Flax. Batches come from `jax.vmap`."""

from attn_jax.ops.grids import affine_grid, axis_coordinates, to_pixels
from attn_jax.ops.reads import affine, check_glimpse, crop, mask, retina, weighted_sum
from attn_jax.ops.sampling import grid_sample
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
from attn_jax.ops.sparsemax import sparsemax

__all__ = [
    "additive_scores",
    "affine",
    "affine_grid",
    "axis_coordinates",
    "categorical_entropy",
    "check_glimpse",
    "check_places",
    "crop",
    "dot_scores",
    "entropy",
    "grid_sample",
    "mask",
    "mask_scores",
    "masked_log_softmax",
    "masked_softmax",
    "retina",
    "scaled_dot_scores",
    "sparsemax",
    "to_pixels",
    "weighted_sum",
]
