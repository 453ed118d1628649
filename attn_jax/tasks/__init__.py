"""Tasks: an objective, its metrics, and how a model is asked."""

from attn_jax.tasks.classification import Weights, objective, probabilities, rollouts
from attn_jax.tasks.metrics import wilson

__all__ = ["Weights", "objective", "probabilities", "rollouts", "wilson"]
