"""The form of a family of transforms: a vector names one of them, and a read takes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import Size, pair, read_of, shape_of, widened
from attn_jax.ops.grids import affine_grid, check_size
from attn_jax.ops.homographies import projective_grid
from attn_jax.ops.kernels import KERNELS
from attn_jax.ops.padding import PADDINGS
from attn_jax.ops.reads import affine
from attn_jax.ops.sampling import Fill
from attn_jax.ops.thin_plate import inverse_points, thin_plate_spline_grid
from attn_jax.ops.transforms.algebra import inverse
from attn_jax.ops.warps import projective, thin_plate_spline
from attn_jax.types import Read, Tag


@runtime_checkable
class MakeWhere(Protocol):
    """Makes what a read takes of a vector [n]: theta [2, 3], for one."""

    def __call__(self, vector: Array, /) -> Array: ...


def checked_vector(vector: Array, size: int) -> Array:
    """Check a vector [size], and return it in at least float32.

    Raises:
      ValueError: for another shape.
      TypeError: if it is not floating point.
    """
    if shape_of(vector) != (size,):
        raise ValueError(f"vector must have shape {(size,)}; got {shape_of(vector)}")
    return widened("vector", vector)


@runtime_checkable
class MakeGrid(Protocol):
    """Computes the places that a transform reads, as `affine_grid` does."""

    def __call__(self, where: Array, size: tuple[int, ...], /, **options) -> Array: ...


@runtime_checkable
class MakeSizedRead(Protocol):
    """Makes a read of a size, as `affine` does."""

    def __call__(self, size: tuple[int, ...], /, **options) -> Read: ...


class _Kind(NamedTuple):
    """How the transforms of a tag are read."""

    grid: MakeGrid
    read: MakeSizedRead


_KINDS: Mapping[str, _Kind] = {
    "theta": _Kind(affine_grid, affine),
    "homography": _Kind(projective_grid, projective),
    "control_points": _Kind(thin_plate_spline_grid, thin_plate_spline),
}


@dataclass(frozen=True, eq=False)
class Transform:
    """A family of transforms, and how a vector names one of them.

    Attributes:
      apply: vector [size] -> where, at least float32: theta [2, 3] or [3, 4], a homography
        [3, 3], or the places [K, 2] that control points read.
      identity: [size], the vector whose transform is the identity, bit for bit.
      size: n, of the vector.
      gives: the tag of where: "theta", "homography" or "control_points".
      rank: 2 for images, 3 for volumes.
      control: the layout [K, 2] of control points, None for the other tags.

    Raises:
      ValueError: for another tag, or a layout that does not belong to the tag.
    """

    apply: MakeWhere
    identity: Array
    size: int
    gives: Tag = "theta"
    rank: int = 2
    control: Float[np.ndarray, "K 2"] | None = None

    def __post_init__(self) -> None:
        if self.gives not in _KINDS:
            raise ValueError(f"gives must be one of {tuple(_KINDS)}; got {self.gives!r}")
        if (self.gives == "control_points") != (self.control is not None):
            raise ValueError(
                f"a layout of control points belongs to gives='control_points' alone; "
                f"got gives={self.gives!r} and control={self.control}"
            )

    @property
    def unchanged(self) -> Float[np.ndarray, "..."]:
        """The `where` that leaves an image as it is, in float32."""
        if self.control is not None:
            return self.control.astype(np.float32)
        rows = 3 if self.gives == "homography" else self.rank
        return np.eye(rows, self.rank + 1, dtype=np.float32)

    def check(self, where: Array) -> None:
        """Refuse a `where` of another shape than `apply` makes.

        Raises:
          ValueError: naming both shapes.
        """
        if shape_of(where) != self.unchanged.shape:
            raise ValueError(f"where must have shape {self.unchanged.shape}; got {shape_of(where)}")

    def extent(self, size: Size | tuple[int, int, int]) -> tuple[int, ...]:
        """Return (h, w), or (d, h, w) of a volume, of a size given as one number or in full.

        Raises:
          ValueError: if it is neither, or one of them is below 1.
        """
        if self.rank == 2:
            return pair(size)
        full = (size,) * 3 if isinstance(size, Integral) else size
        check_size(full, (3,))
        return tuple(full)

    def grid(
        self, where: Array, size: Size | tuple[int, int, int], *, align_corners: bool = False
    ) -> Float[Array, "*n d"]:
        """Compute the places [*size, rank] that the transform reads, (x, y) or (x, y, z).

        Args:
          where: of `apply`.
          size: of the output, as `extent` takes it.
          align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

        Raises:
          ValueError, TypeError: as the tag's grid does.
        """
        control = {} if self.control is None else {"control": self.control}
        make = _KINDS[self.gives].grid
        return make(where, self.extent(size), align_corners=align_corners, **control)

    def inverse(self, where: Array) -> Array:
        """Invert a transform; the result is a `where` of the same tag and layout.

        It is exact, to rounding, for theta and homographies (`inverse`). The inverse of a spline is
        no spline: the result is the one that leads every point that a control point reads back to
        that control point, and between them it is an approximation (`inverse_points`).

        Raises:
          ValueError: for another shape, or what is known to have no inverse.
        """
        self.check(where)
        return inverse(where) if self.control is None else inverse_points(where, self.control)

    def read(
        self,
        size: Size | tuple[int, int, int],
        *,
        mode: str = "bilinear",
        padding: str = "zeros",
        fill: Fill = 0.0,
        align_corners: bool = False,
        implementation: str | None = None,
    ) -> Read:
        """Make the read that takes this family's transforms.

        It is `affine`, `projective` or `thin_plate_spline`. Where the transform is the identity,
        and the output as large as the input, the read gives the input bit for bit; gradients are
        the sampler's.

        Args:
          size: of the output, as `extent` takes it.
          mode, padding, fill, align_corners, implementation: of `grid_sample`.

        Returns:
          A read of images [H, W, C], or of volumes [D, H, W, C] if rank is 3.

        Raises:
          ValueError: if a size is below 1, for an unknown mode or padding, and for a fill without
            padding "constant".
        """
        extent = self.extent(size)
        _check_options(mode, padding, fill, self.rank)
        options = {"mode": mode, "padding": padding, "fill": fill, "align_corners": align_corners}
        control = {} if self.control is None else {"control": self.control}
        make = _KINDS[self.gives].read
        sampled = make(extent, implementation=implementation, **options, **control)

        def apply(image: Array, where: Array) -> Array:
            out = sampled.apply(image, where)
            if image.shape[:-1] != extent:
                return out
            same = (where == jnp.asarray(self.unchanged, where.dtype)).all()
            return _with_value(out, jnp.where(same, image, out))

        return read_of(apply, self.gives)


@jax.custom_jvp
def _with_value(out: Array, value: Array) -> Array:
    """Give `value`, with the derivatives of `out`."""
    del out
    return value


@_with_value.defjvp
def _tangent_of_out(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return _with_value(*primals), tangents[0]


def _check_options(mode: str, padding: str, fill: object, rank: int) -> None:
    modes = tuple(name for name, kernel in KERNELS.items() if rank == 2 or kernel.volumes)
    if mode not in modes:
        raise ValueError(f"mode must be one of {modes}; got {mode!r}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {tuple(PADDINGS)}; got {padding!r}")
    if padding != "constant" and not (isinstance(fill, Real) and fill == 0):
        raise ValueError(f"fill belongs to padding='constant' alone; got padding={padding!r}")
