"""Tasks: an objective, its metrics, and how a model is asked."""

from attn_jax.tasks.classification import (
    Weights,
    is_right,
    log_likelihood,
    objective,
    probabilities,
    probability_right,
    rollouts,
)
from attn_jax.tasks.metrics import wilson

__all__ = [
    "Weights",
    "is_right",
    "log_likelihood",
    "objective",
    "probabilities",
    "probability_right",
    "rollouts",
    "wilson",
]
