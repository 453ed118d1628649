"""A proposal of transforms, of any family: at first one and the same for every input."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.checks import check_instance
from attn_jax.modules.attend import Memory
from attn_jax.modules.layers import View, full_view, relu_layers
from attn_jax.ops.transforms import Transform, bounded, vector_before

Entries = float | Sequence[float] | np.ndarray | Array


class Warp(nn.Module):
    """The transform T(v), v = A [f(x); view(s)], of features of the input, of a state, or of both.

    With a localisation network and no state it is the proposal of a spatial transformer layer; with
    a state, that of a recurrent one. The last layer has zero weights: at first v is `start`.

    Reference: Jaderberg et al. 2015, section 3.1; Sonderby et al. 2015.

    Attributes:
      transform: the family, of `ops.transforms`.
      localise: f, a module from what is read, [B, H, W, C] or volumes, to features [B, ...], which
        are flattened; None: the state alone.
      hidden: widths of ReLU layers over both, before the last.
      start: v at first; None: the identity.
      bound: how far each entry of v may be from the identity's, one number or one for each; None:
        any v.
      view: applied to s first.
      dtype: of the computation in the hidden layers.
      kernel_init: of the last layer; with other weights than zeros the first transforms are random.

    Raises:
      TypeError: if transform is no `Transform`, or localise no module.
      ValueError: for a start of another length than the family's vector or outside the bound, and
        for such a bound.
    """

    transform: Transform
    localise: nn.Module | None = None
    hidden: Sequence[int] = ()
    start: Entries | None = None
    bound: Entries | None = None
    view: View = full_view
    dtype: Any = None
    kernel_init: nn.initializers.Initializer = nn.initializers.zeros

    def __post_init__(self) -> None:
        check_instance("transform", self.transform, Transform, "ops.transforms.full_affine()")
        if self.localise is not None:
            check_instance("localise", self.localise, nn.Module, "nn.Dense(20)")
        # As tuples they can be hashed, which lifted transforms such as nn.remat need.
        self.start, self.bound = _plain(self.start), _plain(self.bound)
        self._bias()
        super().__post_init__()

    def prepare(self, x: Array) -> Array | None:
        """Compute f(x), [B, F], once for all steps; None without a localisation network.

        Raises:
          TypeError: if the network gives no array of floating point.
          ValueError: if it does not keep the batch.
        """
        if self.localise is None:
            return None
        features = self.localise(x)
        _check_features(features, x.shape[0])
        return features.reshape(x.shape[0], -1)

    @nn.compact
    def __call__(self, memory: Memory, s: Array | None = None) -> Array:
        """T(v), leaves [B, ...], at least float32.

        Raises:
          ValueError: with neither features nor a state.
        """
        parts = [] if memory.keys is None else [memory.keys]
        parts += [] if s is None else [self.view(s)]
        if not parts:
            raise ValueError(
                "Warp needs a localisation network, whose features `prepare` gives, or a state; "
                "got neither"
            )
        wide = jnp.result_type(*parts)
        h = jnp.concatenate([part.astype(wide) for part in parts], -1)
        bias = jnp.asarray(self._bias())
        vector = first_constant(h, self.hidden, bias, self.dtype, self.kernel_init)
        limited = self.transform if self.bound is None else bounded(self.transform, self.bound)
        return jax.vmap(limited.apply)(vector)

    def _bias(self) -> np.ndarray:
        """The last layer's first bias: the vector that the bound takes to `start`."""
        start = self.transform.identity if self.start is None else self.start
        bound = np.inf if self.bound is None else self.bound
        return vector_before(self.transform, bound, start, name="start").astype(np.float32)


def first_constant(
    h: Array,
    hidden: Sequence[int],
    start: Array,
    dtype: Any = None,
    kernel_init: nn.initializers.Initializer = nn.initializers.zeros,
) -> Array:
    """Apply ReLU layers, then a linear one with zero weights and the bias `start`.

    It is to be called inside a compact method; the last layer computes in at least float32.
    """
    h = relu_layers(h, hidden, dtype)
    last = nn.Dense(len(start), kernel_init=kernel_init, bias_init=lambda *_: start)
    return last(h.astype(jnp.promote_types(h.dtype, jnp.float32)))


def _plain(entries: Entries | None) -> float | tuple[float, ...] | None:
    if entries is None:
        return None
    values = np.asarray(entries, np.float64).tolist()
    return tuple(values) if isinstance(values, list) else values


def _check_features(features: Any, batch: int) -> None:
    if not isinstance(features, jax.Array | np.ndarray):
        raise TypeError(
            f"the localisation network must give one array of features [B, ...]; "
            f"got {type(features).__name__}"
        )
    if features.ndim < 2 or features.shape[0] != batch:
        raise ValueError(
            f"the localisation network must give features [B, ...] with B = {batch}, and at least "
            f"one axis more; got {list(features.shape)}"
        )
    if not jnp.issubdtype(features.dtype, jnp.floating):
        raise TypeError(
            f"the localisation network must give features of floating point; got {features.dtype}"
        )
