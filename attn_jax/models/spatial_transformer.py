"""Spatial transformer networks: a classifier that straightens its input first.

Reference: Jaderberg, Simonyan, Zisserman and Kavukcuoglu, "Spatial Transformer Networks", 2015.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from attn_jax.modules import Classifier, SpatialTransformer


class Transformed(NamedTuple):
    """Answers of a spatial transformer network to a batch, and where it read.

    Attributes:
      logits: [B, classes]; of several objects [B, T, classes].
      where: of each transformer in parallel, or at each step, the transforms [B, ...] of its tag;
        () without one.
      views: of each what it read, [B, h, w, C] or [B, d, h, w, C].
    """

    logits: Array
    where: tuple[Array, ...]
    views: tuple[Array, ...]


class ViewClassifier(nn.Module):
    """Logits [B, classes] of what transformers read, [B, h, w, C].

    A volume [B, d, h, w, C] is averaged along its depth first.

    Attributes:
      features: image -> features [B, F].
      num_classes: of the answers.
      hidden: widths of ReLU layers between features and classes.
      dropout: fraction of the features that is dropped where there is an rng "dropout", as in
        training.
      dtype: of the computation.
    """

    features: nn.Module
    num_classes: int
    hidden: Sequence[int] = ()
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, view: Array) -> Array:
        flat = view.mean(1) if view.ndim == 5 else view
        drop = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))
        return Classifier(self.num_classes, self.hidden, self.dtype)(drop(self.features(flat)))


class SpatialTransformerNetwork(nn.Module):
    """A classifier of images [B, H, W, C], or of volumes [B, D, H, W, C], through transformers.

        x -> T_1(x), ..., T_P(x) -> side by side as channels -> classes

    Attributes:
      transformers: T_1 ... T_P, in parallel; () for the classifier alone.
      classify: views -> logits.
      mean, deviation: pixels become (x - mean) / deviation before anything else; a black background
        is then -mean / deviation, which is what padding should say.
    """

    transformers: Sequence[SpatialTransformer]
    classify: ViewClassifier
    mean: float = 0.0
    deviation: float = 1.0

    def __call__(self, x: Array) -> Transformed:
        """Transform, and classify what is seen."""
        x = self.normalised(x)
        where = tuple(one.where(x) for one in self.transformers)
        views = tuple(one.read(x, at) for one, at in zip(self.transformers, where, strict=True))
        return Transformed(self.classify_views(views or (x,)), where, views)

    def normalised(self, x: Array) -> Array:
        """(x - mean) / deviation."""
        return (x - self.mean) / self.deviation

    def classify_views(self, views: Sequence[Array]) -> Array:
        """Logits [B, classes] of what the transformers read."""
        return self.classify(jnp.concatenate(views, -1))
