"""The spatial transformer as a layer: a network says how an input is warped, a read warps it."""

from typing import Any

import flax.linen as nn
import jax
from jax import Array

from attn_jax.checks import check_channels_last, check_instance
from attn_jax.modules.attend import Memory
from attn_jax.modules.warps import Entries, Warp
from attn_jax.ops.sampling import Fill
from attn_jax.ops.transforms import Transform
from attn_jax.types import Read


class SpatialTransformer(nn.Module):
    """Warps images, maps or volumes by transforms that a network finds for each of them.

    It is `Attend` without a state: `Warp` proposes, and `transform.read` reads. At first the
    transform is the identity, or `start`, for every input; of the input's own size the output is
    then the input bit for bit. Padding and fill say what is read outside: where the background of
    x is not 0, as after subtracting a mean, zeros draw a frame around it.

    A localisation network that is made in the call, inside a compact method, has its parameters
    beside this layer's, as any Flax module; made with `parent=None` it has them under it.

    Reference: Jaderberg et al. 2015.

    Attributes:
      localisation: a module from x, or from `seen`, to features [B, ...], which are flattened; the
        last layer, with zero weights, is made here.
      transform: the family, of `ops.transforms`.
      size: of the output: h = w, or (h, w); of volumes d = h = w, or (d, h, w).
      padding, fill, mode, implementation: of `ops.grid_sample`.
      start, bound, kernel_init: of `Warp`.
      dtype: to which x and `seen` are converted; None: neither is. The transform is computed in at
        least float32.

    Raises:
      TypeError: if localisation is no module, or transform no `Transform`.
      ValueError: for a size below 1, an unknown mode or padding, a fill without padding
        "constant", and a start or bound of another length than the family's vector.
    """

    localisation: nn.Module
    transform: Transform
    size: Any
    padding: str = "zeros"
    fill: Fill = 0.0
    start: Entries | None = None
    bound: Entries | None = None
    mode: str = "bilinear"
    implementation: str | None = None
    dtype: Any = None
    kernel_init: nn.initializers.Initializer = nn.initializers.zeros

    def __post_init__(self) -> None:
        check_instance("localisation", self.localisation, nn.Module, "nn.Dense(20)")
        propose = self._proposal(None)
        self.start, self.bound = propose.start, propose.bound
        self._kernel()
        super().__post_init__()

    def setup(self) -> None:
        self.propose = self._proposal(self.localisation)

    def __call__(self, x: Array, seen: Array | None = None) -> Array:
        """Warp x by `where(x, seen)`, which is sown in "intermediates" as "where".

        Args:
          x: [B, H, W, C], with any C; [B, D, H, W, C] for a transform of volumes.
          seen: what the localisation network looks at, [B, ...]; None: x.

        Returns:
          [B, h, w, C], or [B, d, h, w, C], in the dtype of x, or in `dtype`.

        Raises:
          ValueError: for an x of another rank, images with their channels first, another batch of
            `seen`, and features that do not keep the batch.
        """
        where = self.where(x, seen)
        self.sow("intermediates", "where", where)
        return self.read(x, where)

    def where(self, x: Array, seen: Array | None = None) -> Array:
        """Give the transforms alone, what `transform.apply` makes: [B, 2, 3], for one.

        Arguments and errors are those of a call.
        """
        self._check(x, seen)
        x = _converted(x, self.dtype)
        seen = x if seen is None else _converted(seen, self.dtype)
        return self.propose(Memory(x, self.propose.prepare(seen)))

    def read(self, x: Array, where: Array) -> Array:
        """Warp x by given transforms [B, ...] of the family, such as the identity's."""
        return jax.vmap(self._kernel().apply)(_converted(x, self.dtype), where)

    def _proposal(self, localise: nn.Module | None) -> Warp:
        # A parent of None: the proposal of __post_init__ belongs to no module.
        options = {} if localise is not None else {"parent": None}
        options["kernel_init"] = self.kernel_init
        return Warp(self.transform, localise, start=self.start, bound=self.bound, **options)

    def _kernel(self) -> Read:
        return self.transform.read(
            self.size, mode=self.mode, padding=self.padding, fill=self.fill,
            implementation=self.implementation,
        )  # fmt: skip

    def _check(self, x: Array, seen: Array | None) -> None:
        rank = self.transform.rank
        if x.ndim != rank + 2:
            form = "images [B, H, W, C]" if rank == 2 else "volumes [B, D, H, W, C]"
            raise ValueError(f"x must be {form} for this transform; got {list(x.shape)}")
        if rank == 2:
            check_channels_last("x", x.shape)
        if seen is not None and seen.shape[:1] != x.shape[:1]:
            raise ValueError(
                f"seen must have the batch of x, {x.shape[0]}; got shape {list(seen.shape)}"
            )


def _converted(x: Array, dtype: Any) -> Array:
    return x if dtype is None else x.astype(dtype)
