"""Reads through homographies and thin-plate splines; `affine` is in `reads`."""

import numpy as np
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import Size, pair, read_of
from attn_jax.ops.homographies import projective_grid
from attn_jax.ops.sampling import Fill, grid_sample
from attn_jax.ops.thin_plate import checked_layout, thin_plate_spline_grid
from attn_jax.types import Read


def projective(
    size: Size,
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    fill: Fill = 0.0,
    align_corners: bool = False,
    implementation: str | None = None,
) -> Read:
    """Sample the image at the `projective_grid` of a homography.

    Args:
      size: h = w, or (h, w), of the output.
      mode, padding, fill, implementation: of `grid_sample`.
      align_corners: of both.

    Returns:
      A read of images [H, W, C] with a homography [3, 3]: [h, w, C].

    Raises:
      ValueError: if a size is below 1.

    >>> import jax.numpy as jnp
    >>> projective(4).apply(jnp.ones((28, 28, 1)), jnp.eye(3)).shape
    (4, 4, 1)
    """
    shape = pair(size)

    def apply(image: Float[Array, "H W C"], where: Float[Array, "3 3"]) -> Float[Array, "h w C"]:
        grid = projective_grid(where, shape, align_corners=align_corners)
        return grid_sample(
            image, grid, mode=mode, padding=padding, fill=fill, align_corners=align_corners,
            implementation=implementation,
        )  # fmt: skip

    return read_of(apply, "homography")


def thin_plate_spline(
    size: Size,
    control: Float[Array, "K 2"] | Float[np.ndarray, "K 2"],
    *,
    mode: str = "bilinear",
    padding: str = "zeros",
    fill: Fill = 0.0,
    align_corners: bool = False,
    implementation: str | None = None,
) -> Read:
    """Bend the image so that control point k shows what lies at point k of the image.

    The image is sampled at `thin_plate_spline_grid`.

    Args:
      size: h = w, or (h, w), of the output.
      control: the control points' places in the output; see `control_grid`.
      mode, padding, fill, implementation: of `grid_sample`.
      align_corners: of both.

    Returns:
      A read of images [H, W, C] with control points [K, 2]: [h, w, C].

    Raises:
      ValueError: if a size is below 1, or the control points coincide or lie on a line.
      TypeError: if control is traced.

    >>> import jax.numpy as jnp
    >>> corners = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> read = thin_plate_spline(4, corners)
    >>> read.apply(jnp.ones((28, 28, 1)), jnp.asarray(corners)).shape
    (4, 4, 1)
    """
    shape, layout = pair(size), checked_layout(control)

    def apply(image: Float[Array, "H W C"], where: Float[Array, "K 2"]) -> Float[Array, "h w C"]:
        grid = thin_plate_spline_grid(where, shape, control=layout, align_corners=align_corners)
        return grid_sample(
            image, grid, mode=mode, padding=padding, fill=fill, align_corners=align_corners,
            implementation=implementation,
        )  # fmt: skip

    return read_of(apply, "control_points")
