"""The reads: what is seen at a place. Each returns a `Read` whose `apply` takes one example.

A glimpse is separable: two small matrices of window weights give its rows and its columns, so that
neither it nor its gradient gathers or scatters.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import Size, pair, read_of, widened
from attn_jax.ops.grids import check_size, to_pixels
from attn_jax.ops.sampling import Fill, affine_sample
from attn_jax.types import Read


def weighted_sum() -> Read:
    """Sum the items by their weights: x' = sum_i where_i x_i; of a one-hot, that is one item.

    All axes of `where` are contracted with the leading ones of x: [L] with [L, D] gives [D],
    [H, W] with [H, W, D] gives [D], [D] with [D] gives [].

    >>> weighted_sum().apply(jnp.eye(2), jnp.array([0.25, 0.75])).tolist()
    [0.25, 0.75]
    """

    def apply(x: Array, where: Array) -> Array:
        _check_leading(x, where)
        wide = widened("x", x)
        out = jnp.tensordot(where.astype(wide.dtype), wide, axes=where.ndim)
        return out.astype(x.dtype)

    return read_of(apply, "weights")


def mask() -> Read:
    """Multiply every item or place by its weight and leave it where it is: x'_i = where_i x_i.

    >>> mask().apply(jnp.ones((2, 1)), jnp.array([0.25, 0.75])).tolist()
    [[0.25], [0.75]]
    """

    def apply(x: Array, where: Array) -> Array:
        _check_leading(x, where)
        wide = widened("x", x)
        weights = where.astype(wide.dtype).reshape(where.shape + (1,) * (x.ndim - where.ndim))
        wide = jnp.where((weights == 0) & ~jnp.isfinite(wide), 0, wide)  # 0 times it is NaN
        return (weights * wide).astype(x.dtype)

    return read_of(apply, "weights")


def _check_leading(x: Array, where: Array) -> None:
    if x.shape[: where.ndim] != where.shape:
        raise ValueError(
            f"where must have the leading shape of x: x has {x.shape}, where has {where.shape}"
        )


def retina(size: Size, scales: int = 1, ratio: float = 2.0, *, unit: float | None = None) -> Read:
    """Cut k concentric patches, each `ratio` times as wide as the last, all reduced to `size`.

    Sample j of scale i is the mean of the image over a window of r x r pixels, r = ratio^i: with
    pixels as unit squares, pixel n weighs clip((r + 1)/2 - |n - m_j|, 0, 1) / r on each axis,
    where m_j is the window's middle. At r = 1 that is bilinear interpolation. Outside is zero.

    Args:
      size: g, or (h, w), in samples.
      scales: k, the number of patches, at least 1; the finest comes first.
      ratio: of the widths of two patches that follow each other, at least 1.
      unit: how many pixels a location of 1 lies from the centre; None: half the image's extent,
        so that +-1 are its outer edges.

    Returns:
      A read of images [H, W, C] at locations [2], (x, y): patches [k, h, w, C]. A NaN in a
      location reads as -1; the image must be finite. It raises ValueError if the coarsest patch is
      wider than twice the image or an axis is longer than its places can count, TypeError if the
      image is not floating point.

    Reference: Mnih et al. 2014, section 3.1.

    >>> retina(8, scales=3).apply(jnp.ones((28, 28, 1)), jnp.zeros(2)).shape
    (3, 8, 8, 1)
    """
    height, width = pair(size)
    if scales < 1 or ratio < 1:
        raise ValueError(f"retina needs scales >= 1 and ratio >= 1; got {scales} and {ratio}")
    factors = [float(ratio) ** i for i in range(scales)]

    def apply(image: Float[Array, "H W C"], where: Float[Array, "2"]) -> Float[Array, "k h w C"]:
        check_glimpse(image.shape, (height, width), factors[-1])
        if where.shape != (2,):
            raise ValueError(f"a location must be (x, y), of shape (2,); got {where.shape}")
        wide = widened("image", image)
        x, y = jnp.where(jnp.isnan(where), -1, where).astype(wide.dtype)
        rows = _windows(y, height, image.shape[0], factors, unit)
        columns = _windows(x, width, image.shape[1], factors, unit)
        # Two products, rows first: one einsum of three takes twice as long on a CPU. At less
        # than the highest precision a matrix unit would round the weights.
        exact = jax.lax.Precision.HIGHEST
        strips = jnp.einsum("khH,HWC->khWC", rows, wide, precision=exact)
        patches = jnp.einsum("khWC,kwW->khwC", strips, columns, precision=exact)
        return patches.astype(image.dtype)

    return read_of(apply, "point")


def _windows(
    centre: Array, samples: int, size: int, factors: list[float], unit: float | None
) -> Float[Array, "k g n"]:
    """The weights of an axis's n = `size` pixels in the g windows of each of k scales."""
    middle = to_pixels(centre if unit is None else centre * (2 * unit / size), size)
    r = jnp.array(factors, middle.dtype)[:, None, None]
    offsets = (jnp.arange(samples, dtype=r.dtype) - (samples - 1) / 2)[None, :, None]
    distance = jnp.abs(jnp.arange(size, dtype=r.dtype)[None, None] - middle - r * offsets)
    return jnp.clip((r + 1) / 2 - distance, 0, 1) / r


def check_glimpse(image: tuple[int, ...], size: tuple[int, int], factor: float) -> None:
    """Refuse a glimpse that lies mostly outside the image, wherever it is taken.

    Args:
      image: the shape, [H, W, C].
      size: (h, w) of the glimpse, in samples.
      factor: pixels per sample of the coarsest patch.

    Raises:
      ValueError: if the coarsest patch is wider or higher than twice the image.
    """
    if len(image) != 3:
        raise ValueError(f"a glimpse reads an image [H, W, C]; got shape {image}")
    patch = (size[0] * factor, size[1] * factor)
    if patch[0] > 2 * image[0] or patch[1] > 2 * image[1]:
        raise ValueError(
            f"the coarsest patch of a glimpse may be at most twice the image, "
            f"{2 * image[0]}x{2 * image[1]} pixels here; got {patch[0]:g}x{patch[1]:g}"
        )


def crop(size: Size, *, unit: float | None = None) -> Read:
    """Crop a patch [h, w, C] at a real-valued location, bilinearly, with zeros outside the image.

    It is `retina` of one scale; arguments and errors are the same.

    >>> crop((3, 5)).apply(jnp.ones((28, 28, 1)), jnp.zeros(2)).shape
    (3, 5, 1)
    """
    one_scale = retina(size, unit=unit)
    return read_of(lambda image, where: one_scale.apply(image, where)[0], "point")


def affine(
    size: Size | tuple[int, int, int],
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    fill: Fill = 0.0,
    align_corners: bool = False,
    implementation: str | None = None,
) -> Read:
    """Sample an image or a volume at theta (x_i, y_i, 1)^T, as the spatial transformer does.

    Args:
      size: h = w, or (h, w), of the output; (d, h, w) of a volume.
      mode, padding, fill, align_corners, implementation: of `affine_sample`.

    Returns:
      A read of images [H, W, C] with theta [2, 3]: [h, w, C]; of volumes [D, H, W, C] with theta
      [3, 4]: [d, h, w, C].

    Raises:
      ValueError: if a size is below 1.

    Reference: Jaderberg et al. 2015, section 3.

    >>> theta = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> affine(4).apply(jnp.ones((28, 28, 1)), theta).shape
    (4, 4, 1)
    >>> affine((2, 4, 4)).apply(jnp.ones((8, 28, 28, 1)), jnp.eye(3, 4)).shape
    (2, 4, 4, 1)
    """
    shape = _plane_or_volume(size)

    def apply(
        image: Float[Array, "*size C"], where: Float[Array, "2 3"] | Float[Array, "3 4"]
    ) -> Float[Array, "*n C"]:
        return affine_sample(
            image, where, shape, mode=mode, padding=padding, fill=fill, align_corners=align_corners,
            implementation=implementation,
        )  # fmt: skip

    return read_of(apply, "theta")


def _plane_or_volume(size: Size | tuple[int, int, int]) -> tuple[int, ...]:
    if not isinstance(size, Sequence) or len(size) != 3:
        return pair(size)
    check_size(size, (3,))
    return tuple(size)
