"""Losses as pure functions, without reduction: an objective reduces them once."""

from attn_jax.losses.credit import no_credit, score_function
from attn_jax.losses.embeddings import triplet_hinge
from attn_jax.losses.regularisers import doubly_stochastic, identity_penalty
from attn_jax.losses.sequences import cross_entropy, is_class, squared_error

__all__ = [
    "cross_entropy",
    "doubly_stochastic",
    "identity_penalty",
    "is_class",
    "no_credit",
    "score_function",
    "squared_error",
    "triplet_hinge",
]
