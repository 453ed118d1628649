"""Recurrent spatial transformer networks: several objects read one after the other.

Reference: Sonderby, Sonderby, Maaloe and Winther, "Recurrent Spatial Transformer Networks", 2015.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.models.spatial_transformer import Transformed, ViewClassifier
from attn_jax.modules import Core, SpatialTransformer


class RecurrentTransformerNetwork(nn.Module):
    """A classifier of the T objects of an image [B, H, W, C], each through a transform of its own.

        c = localise(x);  s_t = core(c, s_{t-1});  x'_t = read(x, A_t(s_t));  y_t = classify(x'_t)

    The core sees the whole image at every step, and not what was read; the answers share their
    parameters.

    Attributes:
      localise: image -> features [B, F].
      core: the recurrence.
      transformer: the layer, which looks at states [B, S].
      classify: view -> logits.
      num_steps: T.
      mean, deviation: of `SpatialTransformerNetwork`.
    """

    localise: nn.Module
    core: Core
    transformer: SpatialTransformer
    classify: ViewClassifier
    num_steps: int
    mean: float = 0.0
    deviation: float = 1.0

    def __call__(self, x: Array) -> Transformed:
        """Read T times; logits are [B, T, classes], transforms and views those of each step."""
        x = self.normalised(x)
        c, where = self.localise(x), []
        carry, _ = self.core.zeros(x.shape[0])
        for _ in range(self.num_steps):
            carry, state = self.core(carry, c)
            where.append(self.transformer.where(x, state))
        views = tuple(self.transformer.read(x, one) for one in where)
        return Transformed(self.classify_views(views), tuple(where), views)

    def normalised(self, x: Array) -> Array:
        """(x - mean) / deviation."""
        return (x - self.mean) / self.deviation

    def classify_views(self, views: Sequence[Array]) -> Array:
        """Logits [B, T, classes] of what is read at each step, [B, h, w, C]."""
        steps = jnp.stack(views, 1)
        logits = self.classify(steps.reshape(-1, *steps.shape[2:]))
        return logits.reshape(*steps.shape[:2], -1)
