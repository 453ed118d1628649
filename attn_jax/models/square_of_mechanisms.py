"""The square of mechanisms: classifiers that differ only in how they attend to an encoded image."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn

from attn_jax.models.classifier import RecurrentClassifier
from attn_jax.modules import Attend, Classifier, Core, Flat, MeanState, Step, Unroll, Value
from attn_jax.types import Estimator, Read


def square(
    *,
    propose: nn.Module,
    estimator: Estimator,
    read: Read,
    encode: nn.Module,
    mean_axes: Sequence[int],
    num_classes: int,
    num_steps: int,
    cells: Sequence[nn.RNNCellBase],
    features: int = 128,
    remat: bool = False,
    unroll: int = 1,
    dtype: Any = None,
) -> RecurrentClassifier:
    """Make a classifier that attends to an encoded image by any mechanism.

    Args:
      propose: a proposal, such as `AdditiveScores` or `Location`.
      estimator: makes the choice; `estimator.at_mode()` chooses without sampling.
      read: what is seen where the choice fell.
      encode: image -> items [B, L, D], or a map [B, h, w, D].
      mean_axes: the axes of the encoded image to average over for the first state.
      num_classes: C.
      num_steps: T.
      cells: of the core.
      features: width of the layer that fuses what was read.
      remat: recompute activations in the backward pass.
      unroll: the number of steps in one iteration of the loop.
      dtype: of the computation; parameters stay float32.

    Raises:
      ValueError: if the read does not take what the estimator gives.

    Reference: Wang & Tax 2016, section 3.
    """
    step = Step(
        attend=Attend(propose, estimator, read),
        fuse=Flat(features, dtype),
        core=Core(cells),
        start=MeanState(mean_axes, dtype=dtype),
    )
    return RecurrentClassifier(
        unroll=Unroll(step, num_steps, remat=remat, unroll=unroll),
        classify=Classifier(num_classes, dtype=dtype),
        value=Value(dtype=dtype),
        encode=encode,
    )
