"""Flax modules: the only place where parameters are made."""

from attn_jax.modules.attend import Attend, Memory
from attn_jax.modules.encoders import MeanState
from attn_jax.modules.heads import Classifier, Flat, Value
from attn_jax.modules.proposals import (
    AdditiveScores,
    Affine,
    Location,
    StateScores,
    everything,
)
from attn_jax.modules.recurrent import Core, Step, Unroll, rollout_keys

__all__ = [
    "AdditiveScores",
    "Affine",
    "Attend",
    "Classifier",
    "Core",
    "Flat",
    "Location",
    "MeanState",
    "Memory",
    "StateScores",
    "Step",
    "Unroll",
    "Value",
    "everything",
    "rollout_keys",
]
