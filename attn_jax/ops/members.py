"""The table of the reads: each constructor by name, with the tag of what its read takes.

All have one policy for what is not finite. A coordinate of a place that is NaN reads as -1, and its
gradient is 0, as in the samplers; any other number that is NaN, such as a weight, gives NaN. What
has weight 0 contributes nothing in the samplers, the reads by transforms and `mask`.
`weighted_sum`, `retina`, `crop` and `gaussian_grid` are matrix products, in which 0 times what is
not finite is NaN: there x must be finite, and NaN in all of a channel shows that it is not.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from attn_jax.ops.filterbank import gaussian_grid
from attn_jax.ops.reads import affine, crop, mask, retina, weighted_sum
from attn_jax.ops.warps import projective, thin_plate_spline
from attn_jax.types import Read, Tag


@runtime_checkable
class MakeRead(Protocol):
    """Makes a read; each constructor has arguments of its own, which are given by name."""

    def __call__(self, *args, **kwargs) -> Read: ...


class ReadMember(NamedTuple):
    """A read that can be named.

    Attributes:
      make: the constructor itself; its signature says which arguments there are.
      takes: the tag of the `where` that its reads take.
    """

    make: MakeRead
    takes: Tag


READS: Mapping[str, ReadMember] = {
    "weighted_sum": ReadMember(weighted_sum, "weights"),
    "mask": ReadMember(mask, "weights"),
    "crop": ReadMember(crop, "point"),
    "retina": ReadMember(retina, "point"),
    "affine": ReadMember(affine, "theta"),
    "projective": ReadMember(projective, "homography"),
    "thin_plate_spline": ReadMember(thin_plate_spline, "control_points"),
    "gaussian_grid": ReadMember(gaussian_grid, "gaussian_grid"),
}
