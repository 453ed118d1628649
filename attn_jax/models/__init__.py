"""Models: one file for each paper, which only puts modules together."""

from attn_jax.models.classifier import Outputs, RecurrentClassifier
from attn_jax.models.ram import GlimpseNet, ram
from attn_jax.models.seq2seq import Seq2Seq, seq2seq
from attn_jax.models.square import square

__all__ = ["GlimpseNet", "Outputs", "RecurrentClassifier", "Seq2Seq", "ram", "seq2seq", "square"]
