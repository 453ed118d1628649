"""Families of homographies and of thin-plate splines."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from attn_jax.ops.common import Size
from attn_jax.ops.thin_plate import checked_layout, control_grid
from attn_jax.ops.transforms.form import MakeWhere, Transform, checked_vector

# The corners of the output, row by row, as `control_grid(2)` lays them out.
_SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], np.float32)


def projective() -> Transform:
    """All homographies but those whose last entry is 0: eight entries, row by row, the ninth is 1.

    A vector far from the identity may give a singular one, or a horizon inside the output, where
    nothing is read; `corners` gives neither.

    >>> projective().apply(jnp.arange(8.0)).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 1.0]]
    """

    def apply(vector: Float[Array, "8"]) -> Float[Array, "3 3"]:
        wide = checked_vector(vector, 8)
        return jnp.append(wide, jnp.ones((), wide.dtype)).reshape(3, 3)

    return _transform(apply, np.array([1, 0, 0, 0, 1, 0, 0, 0]), "homography")


def corners(bound: float = 0.45) -> Transform:
    """Homographies by the places that the corners of the output read.

    Corner k reads corner_k + bound tanh(v_k), in the order (-1, -1), (1, -1), (-1, 1), (1, 1), each
    (x, y). With a bound below 1/2 the four are a convex quadrilateral for any vector, so that the
    homography is never singular and has no horizon inside the output; at 1/2 three corners can lie
    on a line. The last entry is 1.

    Args:
      bound: of the displacement of a corner on either axis, above 0 and below 1/2.

    Raises:
      ValueError: for another bound.

    Reference: Hartley and Zisserman, Multiple View Geometry, 2004, section 4.1.

    >>> corners().apply(jnp.zeros(8)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if not 0 < bound < 0.5:
        raise ValueError(f"bound must be above 0 and below 0.5; got {bound}")

    def apply(vector: Float[Array, "8"]) -> Float[Array, "3 3"]:
        moved = bound * jnp.tanh(checked_vector(vector, 8)).reshape(4, 2)
        return _to_quadrilateral(jnp.asarray(_SQUARE, moved.dtype) + moved)

    return _transform(apply, np.zeros(8), "homography")


def _to_quadrilateral(places: Float[Array, "4 2"]) -> Float[Array, "3 3"]:
    """Compute the homography that takes the corners of the square to four places.

    H (x, y, 1) is linear in the square, so w_k (p_k, 1) is a parallelogram; w_k is then the area of
    the triangle of the other three places, positive if the quadrilateral is convex.
    """
    a, b, c, d = places
    # Positive for corners in the order of the output.
    weights = jnp.stack([_area(b, d, c), _area(a, d, c), _area(a, b, d), _area(a, b, c)])
    whole = jnp.concatenate([places, jnp.ones_like(places[:, :1])], 1) * weights[:, None]
    h = jnp.stack([whole[1] - whole[0], whole[2] - whole[0], whole[0] + whole[3]], 1)
    return (h / h[2, 2]).at[2, 2].set(1)  # a compiled quotient may miss 1 by its rounding


def _area(p: Array, q: Array, r: Array) -> Array:
    """Twice the signed area of a triangle, positive where it turns as (-1, -1), (1, -1), (1, 1)."""
    (a, b), (c, d) = q - p, r - p
    return a * d - b * c


def control_points(
    control: Size | Float[Array, "K 2"] | Float[np.ndarray, "K 2"] = 4,
) -> Transform:
    """Thin-plate splines by the places that their control points read: (x_1, y_1, x_2, ...).

    Args:
      control: the layout [K, 2] of the control points in the output, known while tracing, or a
        count, whose layout is `control_grid(count)`: 4 makes 4 x 4 points over the image.

    Raises:
      ValueError: if the control points coincide or lie on a line, or a count is below 2.
      TypeError: if the layout is traced.

    Reference: Jaderberg et al. 2015, section 4.1; Bookstein 1989.

    >>> family = control_points(2)
    >>> family.apply(family.identity).tolist()
    [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    """
    counted = not hasattr(control, "shape")
    layout = checked_layout(control_grid(control) if counted else control)

    def apply(vector: Float[Array, "n"]) -> Float[Array, "K 2"]:
        return checked_vector(vector, layout.size).reshape(layout.shape)

    return _transform(apply, layout.ravel(), "control_points", layout)


def _transform(apply: MakeWhere, identity: np.ndarray, gives, control=None) -> Transform:
    with jax.ensure_compile_time_eval():  # a family may be made while tracing
        start = jnp.asarray(identity, jnp.float32)
    return Transform(apply, start, identity.size, gives, control=control)
