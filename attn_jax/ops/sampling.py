"""Reading an image or a volume at real-valued places."""

from numbers import Real

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops import native, xla
from attn_jax.ops.common import check_floating
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
    """out_i = sum_uv in[v, u] k(x_i - u) k(y_i - v)  (Jaderberg et al. 2015, eq. 3).

    The kernels k, by mode: "nearest", one pixel, half to even; "bilinear", max(0, 1 - |d|), also
    of volumes; "bicubic", Keys' with a = -0.75 as in PyTorch; "lanczos3", sinc(d) sinc(d/3) on
    |d| < 3, its weights normalised to a sum of one.

    What is outside, by padding: "zeros"; "constant", `fill`; "border", the nearest border pixel;
    "reflection", mirrored about the border pixels' outer edges, with align_corners their centres;
    "wrap", repeated: pixel n is pixel n mod the size, whatever align_corners.

    A NaN coordinate reads as -1. An infinite one reads nothing (zeros), `fill` (constant), the edge
    (border), and as -1 in reflection and wrap.

    At the places of `affine_grid`'s identity the image comes back: bit for bit where coordinates
    are exact in binary, as for sizes that are powers of two, else to (H + W) 2^-23, the rounding of
    a coordinate in pixels in float32, times the largest difference between neighbours.

    Differentiable to image, grid and fill, in forward and reverse mode and again. The result is
    piecewise constant in the grid for "nearest", outside with "zeros" and "constant", and outside
    with "border" unless the kernel still reaches in: its gradient is 0 there, and at coordinates
    that are not finite. At kinks it is PyTorch's: of "bilinear" the derivative from the right.

    Args:
      image: [H, W, C], or a volume [D, H, W, C]; at least one pixel on every axis.
      grid: (x, y) for each place to read, (x, y, z) in a volume, in [-1, 1]; anything is allowed.
      mode: "nearest", "bilinear", "bicubic" or "lanczos3"; the last two for images alone.
      padding: "zeros", "border", "reflection", "wrap" or "constant".
      fill: what "constant" pads with, a scalar or [C]; for it alone.
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.
      implementation: "xla"; "native", a C++ kernel for CPUs: bilinear, of images in float32 or
        float64, compiled by the system's compiler at first use; or None: native where it has been
        compiled, else XLA now and native in a later run. $ATTN_JAX_IMPLEMENTATION stands for None,
        where native cannot do it as XLA. On other devices, among several in one jit, and in what
        `jax.export` writes, it is XLA in any case.

    Returns:
      The image at the grid's places, in the image's dtype; coordinates, weights and sums are
      in at least float32.

    Raises:
      ValueError: for a wrong rank, an empty axis, a grid that does not fit, an unknown mode,
        padding or implementation, fill without "constant" or of a wrong shape, "bicubic" or
        "lanczos3" of a volume.
      TypeError: for an image, grid or fill that is not floating point.
      RuntimeError: for "native" without a C++ compiler.

    >>> image = jnp.arange(4.0).reshape(2, 2, 1)
    >>> grid_sample(image, jnp.array([0.0, 0.0])).tolist()  # between all four
    [1.5]
    >>> grid_sample(image, jnp.array([0.0, -3.0]), padding="constant", fill=7.0).tolist()
    [7.0]
    """
    image, grid = jnp.asarray(image), jnp.asarray(grid)
    _check_image(image, mode, padding)
    _check_grid(grid, image.ndim - 1)
    grid, fill_array = _filled(image, grid, padding, fill)
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
    """`grid_sample` of an `affine_grid`, which native code never holds in memory.

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
    theta, fill_array = _filled(image, theta, padding, fill)
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


def _filled(image: Array, where: Array, padding: str, fill: object) -> tuple[Array, Array]:
    """Where to read and what is outside, in the dtype to compute in."""
    given = isinstance(fill, Real)
    if padding != "constant" and not (given and fill == 0):
        raise ValueError(f"fill belongs to padding='constant' alone; got padding={padding!r}")
    array, channels = jnp.asarray(fill), image.shape[-1]
    if array.shape not in ((), (channels,)):
        raise ValueError(f"fill must be a scalar or [C] = ({channels},); got shape {array.shape}")
    if not given:
        check_floating("fill", array)
    wide = jnp.promote_types(jnp.promote_types(image.dtype, where.dtype), jnp.float32)
    return where.astype(wide), array.astype(wide)
