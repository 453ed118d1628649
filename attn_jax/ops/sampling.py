"""Sampling of an image or a volume at real-valued places."""

from numbers import Real

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops import native, xla
from attn_jax.ops.common import check_floating, promoted
from attn_jax.ops.grids import affine_grid, checked_theta
from attn_jax.ops.implementation import use_native
from attn_jax.ops.kernels import KERNELS
from attn_jax.ops.padding import PADDINGS

Fill = float | Float[Array, ""] | Float[Array, "C"]


def grid_sample(
    image: Float[Array, "*size C"],
    grid: Float[Array, "*n d"],
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    fill: Fill = 0.0,
    align_corners: bool = False,
    implementation: str | None = None,
) -> Float[Array, "*n C"]:
    """Sample an image at the places of a grid: out_i = sum_uv in[v, u] k(x_i - u) k(y_i - v).

    The mode names the kernel k: "nearest", one pixel, halves rounded to even; "bilinear",
    max(0, 1 - |d|), also of volumes; "bicubic", Keys' with a = -0.75 as in PyTorch; "lanczos3",
    sinc(d) sinc(d/3) on |d| < 3, its weights normalised to a sum of one.

    The padding says what is read outside the image: "zeros"; "constant", `fill`; "border", the
    nearest border pixel; "reflection", the image mirrored about the border pixels' outer edges,
    with align_corners about their centres; "wrap", the image repeated: pixel n is pixel n mod the
    size, whatever align_corners is.

    A NaN coordinate reads as -1. An infinite one reads zeros, `fill` or the border pixel, and as -1
    in reflection and wrap. A pixel or a fill of weight 0 contributes nothing, also if it is not
    finite; the gradient by the grid is that from the right, and counts the neighbour.

    At the places of `affine_grid`'s identity the image is returned: bit for bit where coordinates
    are exact in binary, as for sizes that are powers of two, else to (H + W) 2^-23, the rounding of
    a coordinate in pixels in float32, times the largest difference between neighbours.

    It is differentiable by image, grid and fill, in forward and reverse mode, any number of times.
    By the grid the gradient is 0 where the result is piecewise constant: for "nearest", outside
    with "zeros" and "constant", outside with "border" unless the kernel still reaches the image,
    and at coordinates that are not finite. At kinks it is PyTorch's; for "bilinear" that is the
    derivative from the right.

    Args:
      image: [H, W, C], or a volume [D, H, W, C]; at least one pixel on every axis.
      grid: (x, y) of each place to read, (x, y, z) in a volume; the image spans [-1, 1], and any
        other number is allowed.
      mode: "nearest", "bilinear", "bicubic" or "lanczos3"; the last two for images alone.
      padding: "zeros", "border", "reflection", "wrap" or "constant".
      fill: the value outside, a scalar or [C]; for padding "constant" alone.
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.
      implementation: "xla"; "native", a C++ kernel for CPUs: bilinear, of images in float32 or
        float64, compiled by the system's compiler at first use; or None: native if it had been
        compiled before this process first sampled, else XLA for the whole process and native in a
        later run. $ATTN_JAX_IMPLEMENTATION replaces None; what native does not support then goes
        through XLA. On other devices, with several devices in one jit, on meshes of explicit axes,
        for more numbers than int32 counts, and in what `jax.export` writes, it is XLA in any case.

    Returns:
      The image at the grid's places, in the image's dtype; coordinates, weights and sums are
      computed in at least float32.

    Raises:
      ValueError: for a wrong rank, an empty axis, one of more than 2^24 pixels unless grid or
        image are float64, a grid that does not fit, an unknown mode,
        padding or implementation, fill without "constant" or of a wrong shape, "bicubic" or
        "lanczos3" of a volume.
      TypeError: for an image, grid or fill that is not floating point.
      RuntimeError: for "native" where it cannot be compiled or loaded.
      NotImplementedError: for `jax.experimental.jet` of "lanczos3".

    Reference: Jaderberg et al. 2015, eq. 3.

    >>> image = jnp.arange(4.0).reshape(2, 2, 1)
    >>> grid_sample(image, jnp.array([0.0, 0.0])).tolist()  # between all four
    [1.5]
    >>> grid_sample(image, jnp.array([0.0, -3.0]), padding="constant", fill=7.0).tolist()
    [7.0]
    """
    image, grid = jnp.asarray(image), jnp.asarray(grid)
    _check_image(image, mode, padding)
    _check_grid(grid, image.ndim - 1)
    grid, fill_array = _with_fill(image, grid, padding, fill)
    if use_native(implementation, mode, padding, image):
        options = {"padding": padding, "fill": fill_array, "align_corners": align_corners}
        return native.sample(image, grid, **options)
    return xla.sample(image, grid, fill_array, mode, padding, align_corners)


def affine_sample(
    image: Float[Array, "*size C"],
    theta: Float[Array, "2 3"] | Float[Array, "3 4"],
    size: tuple[int, ...],
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    fill: Fill = 0.0,
    align_corners: bool = False,
    implementation: str | None = None,
) -> Float[Array, "*n C"]:
    """Sample an image at the `affine_grid` of theta, which native code never holds in memory.

    Args:
      image: [H, W, C], or a volume [D, H, W, C].
      theta: [2, 3], or [3, 4] of a volume.
      size: (h, w), or (d, h, w), of the output.
      mode, padding, fill, align_corners, implementation: of `grid_sample`.

    Returns:
      The transformed image, [*size, C], in the image's dtype.

    Raises:
      ValueError, TypeError: as `grid_sample` and `affine_grid` do.

    >>> flip = jnp.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> affine_sample(jnp.arange(3.0).reshape(1, 3, 1), flip, (1, 3)).ravel().tolist()
    [2.0, 1.0, 0.0]
    """
    theta, image = checked_theta(theta, size), jnp.asarray(image)
    _check_image(image, mode, padding)
    if image.ndim - 1 != len(size):
        raise ValueError(
            f"size must be {_AXES[image.ndim - 1]} for {_NAMES[image.ndim - 1]}; got {size}"
        )
    theta, fill_array = _with_fill(image, theta, padding, fill)
    if use_native(implementation, mode, padding, image):
        options = {"padding": padding, "fill": fill_array, "align_corners": align_corners}
        return native.affine(image, theta, (size[0], size[1]), **options)
    grid = affine_grid(theta, size, align_corners=align_corners)
    return xla.sample(image, grid, fill_array, mode, padding, align_corners)


_NAMES = {2: "an image [H, W, C]", 3: "a volume [D, H, W, C] (of a batch: jax.vmap)"}
_AXES = {2: "(h, w)", 3: "(d, h, w)"}


def _check_image(image: Array, mode: str, padding: str) -> None:
    if mode not in KERNELS:
        raise ValueError(f"mode must be one of {tuple(KERNELS)}; got {mode!r}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {tuple(PADDINGS)}; got {padding!r}")
    if image.ndim not in (3, 4):
        raise ValueError(f"image must be [H, W, C] or [D, H, W, C]; got shape {image.shape}")
    if 0 in image.shape[:-1]:
        raise ValueError(f"image must have a pixel on every axis; got shape {image.shape}")
    check_floating("image", image)
    if image.ndim == 4 and not KERNELS[mode].volumes:
        volumes = tuple(name for name, kernel in KERNELS.items() if kernel.volumes)
        raise ValueError(f"mode must be one of {volumes} for {_NAMES[3]}; got {mode!r}")


def _check_grid(grid: Array, dims: int) -> None:
    check_floating("grid", grid)
    if grid.ndim < 1 or grid.shape[-1] != dims:
        axes = "(x, y)" if dims == 2 else "(x, y, z)"
        raise ValueError(
            f"grid must be [..., {dims}] for {_NAMES[dims]}, the last axis {axes}; "
            f"got shape {grid.shape}"
        )


def _with_fill(image: Array, where: Array, padding: str, fill: object) -> tuple[Array, Array]:
    """Return `where` and the checked fill, both in the dtype to compute in."""
    is_number = isinstance(fill, Real)
    if padding != "constant" and not (is_number and fill == 0):
        raise ValueError(f"fill belongs to padding='constant' alone; got padding={padding!r}")
    array, channels = jnp.asarray(fill), image.shape[-1]
    if array.shape not in ((), (channels,)):
        raise ValueError(f"fill must be a scalar or [C] = ({channels},); got shape {array.shape}")
    if not is_number:
        check_floating("fill", array)
    wide = promoted(image.dtype, where.dtype)
    return where.astype(wide), array.astype(wide)
