"""Models: one file for each paper, which only puts modules together."""

from attn_jax.models.classifier import Outputs, RecurrentClassifier
from attn_jax.models.colocalisation import Colocaliser, Localised
from attn_jax.models.recurrent_attention import GlimpseNet, ram
from attn_jax.models.recurrent_spatial_transformer import RecurrentTransformerNetwork
from attn_jax.models.sequence_to_sequence import Seq2Seq, seq2seq
from attn_jax.models.spatial_transformer import (
    SpatialTransformerNetwork,
    Transformed,
    ViewClassifier,
)
from attn_jax.models.square_of_mechanisms import square

__all__ = [
    "Colocaliser",
    "GlimpseNet",
    "Localised",
    "Outputs",
    "RecurrentClassifier",
    "RecurrentTransformerNetwork",
    "Seq2Seq",
    "SpatialTransformerNetwork",
    "Transformed",
    "ViewClassifier",
    "ram",
    "seq2seq",
    "square",
]
