"""Tasks: objectives, their metrics, and rollouts of a model. All figures are fractions."""

from attn_jax.tasks.classification import (
    REWARDS,
    Reward,
    is_right,
    log_likelihood,
    objective,
    probabilities,
    probability_right,
    rollouts,
)
from attn_jax.tasks.credit import Weights, credited
from attn_jax.tasks.localisation import box_of, overlap
from attn_jax.tasks.metrics import clustered, wilson
from attn_jax.tasks.transduction import misaligned, sequence_objective, to_go
from attn_jax.tasks.transformation import COLLAPSED, symptoms, transform_figures

__all__ = [
    "COLLAPSED",
    "REWARDS",
    "Reward",
    "Weights",
    "box_of",
    "clustered",
    "credited",
    "is_right",
    "log_likelihood",
    "misaligned",
    "objective",
    "overlap",
    "probabilities",
    "probability_right",
    "rollouts",
    "sequence_objective",
    "symptoms",
    "to_go",
    "transform_figures",
    "wilson",
]
