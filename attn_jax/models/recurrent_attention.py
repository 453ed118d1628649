"""RAM: Recurrent Models of Visual Attention (Mnih, Heess, Graves, Kavukcuoglu, NIPS 2014)."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.models.classifier import RecurrentClassifier
from attn_jax.modules import (
    Attend,
    Classifier,
    Core,
    Location,
    Squash,
    Step,
    Unroll,
    Value,
    View,
    full_view,
)
from attn_jax.ops import READS
from attn_jax.types import Estimator, Read


class GlimpseNet(nn.Module):
    """The glimpse network g = ReLU(Lin(h_g) + Lin(h_l))  (section 3.1).

    h_g = ReLU(Lin(retina)) is of what was seen, h_l = ReLU(Lin(l)) of where.

    Attributes:
      hidden: width of h_g and of h_l.
      features: width of g.
      dtype: of the computation.
    """

    hidden: int = 128
    features: int = 256
    dtype: Any = None

    @nn.compact
    def __call__(self, glimpse: Array, where: Array, inputs: Array | None = None) -> Array:
        """g [B, features] of patches [B, k, h, w, C] at locations [B, 2]."""
        del inputs

        def dense(width: int, name: str) -> nn.Dense:
            return nn.Dense(width, dtype=self.dtype, name=name)

        h_g = nn.relu(dense(self.hidden, "what")(glimpse.reshape(glimpse.shape[0], -1)))
        h_l = nn.relu(dense(self.hidden, "where")(where))
        return nn.relu(
            dense(self.features, "from_what")(h_g) + dense(self.features, "from_where")(h_l)
        )


def ram(
    *,
    estimator: Estimator,
    read: Read,
    num_classes: int,
    num_steps: int,
    start: Estimator | None = None,
    cells: Sequence[nn.RNNCellBase] | None = None,
    glimpse_hidden: int = 128,
    glimpse_features: int = 256,
    location_hidden: Sequence[int] = (),
    squash: Squash = jnp.tanh,
    sigma: float | None = None,
    view: View = full_view,
    remat: bool = False,
    unroll: int = 1,
    dtype: Any = None,
) -> RecurrentClassifier:
    """Make the recurrent attention model: a classifier that glimpses at points of an image.

    Args:
      estimator: chooses locations; `estimator.at_mode()` chooses them without sampling.
      read: `retina(...)`, or any other read of points.
      num_classes: C.
      num_steps: T, the number of glimpses.
      start: chooses the first location; None: `estimator` chooses it too, from the zero state.
      cells: the core's; None: h_t = ReLU(Lin(h_{t-1}) + Lin(g_t)) with 256 units.
      glimpse_hidden, glimpse_features: widths of the glimpse network.
      location_hidden: widths of ReLU layers in the location head; the paper has none.
      squash: maps the location's mean into [-1, 1]; see `modules.SQUASHES`.
      sigma: None: mu alone is proposed. A number: sigma is proposed too and starts there; the
        estimator must be one that takes (mu, sigma), such as `gaussian()`.
      view: what the location head sees of the state; `jax.lax.stop_gradient` detaches it.
      remat: recompute activations in the backward pass.
      unroll: the number of glimpses in one iteration of the loop.
      dtype: of the computation; parameters stay float32.

    Raises:
      ValueError: if the read takes no points, or an estimator gives none.
    """
    if read.takes != "point":
        points = " or ".join(name for name, member in READS.items() if member.takes == "point")
        raise ValueError(f"ram reads at points, by {points}; got a read that takes {read.takes!r}")
    if cells is None:
        cells = (nn.SimpleCell(256, activation_fn=nn.relu, dtype=dtype),)
    propose = Location(location_hidden, squash, view, dtype, sigma)
    step = Step(
        attend=Attend(propose, estimator, read, start),
        fuse=GlimpseNet(glimpse_hidden, glimpse_features, dtype),
        core=Core(cells),
    )
    return RecurrentClassifier(
        unroll=Unroll(step, num_steps, remat=remat, unroll=unroll),
        classify=Classifier(num_classes, dtype=dtype),
        value=Value(jax.lax.stop_gradient, dtype),
    )
