"""One file a paper, wiring only."""

from attn_jax.models.classifier import Outputs, RecurrentClassifier
from attn_jax.models.ram import GlimpseNet, ram
from attn_jax.models.square import square

__all__ = ["GlimpseNet", "Outputs", "RecurrentClassifier", "ram", "square"]
