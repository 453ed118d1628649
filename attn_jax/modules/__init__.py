"""Flax modules: the only room where parameters are made."""

from attn_jax.modules.attend import Attend, Memory
from attn_jax.modules.closed_loop import ClosedLoop, Decoded, shifted
from attn_jax.modules.convolutions import Conv
from attn_jax.modules.encoders import ConvMap, Items, MeanState, TextEncoder
from attn_jax.modules.heads import Classifier, Flat, Value
from attn_jax.modules.layers import View, full_view
from attn_jax.modules.networks import ConvNet
from attn_jax.modules.proposals import (
    SCORES,
    SQUASHES,
    AdditiveScores,
    Affine,
    BilinearScores,
    DotScores,
    JointScores,
    Location,
    ScaledDotScores,
    Squash,
    StateScores,
)
from attn_jax.modules.recurrent import CORES, Core, Step, Unroll, rollout_keys
from attn_jax.modules.spatial_transformer import SpatialTransformer
from attn_jax.modules.warps import Warp

__all__ = [
    "CORES",
    "SCORES",
    "SQUASHES",
    "AdditiveScores",
    "Affine",
    "Attend",
    "BilinearScores",
    "Classifier",
    "ClosedLoop",
    "Conv",
    "ConvMap",
    "ConvNet",
    "Core",
    "Decoded",
    "DotScores",
    "Flat",
    "Items",
    "JointScores",
    "Location",
    "MeanState",
    "Memory",
    "ScaledDotScores",
    "SpatialTransformer",
    "Squash",
    "StateScores",
    "Step",
    "TextEncoder",
    "Unroll",
    "Value",
    "View",
    "Warp",
    "full_view",
    "rollout_keys",
    "shifted",
]
