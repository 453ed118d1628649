"""Grids of thin-plate splines: the smoothest warps that take given points to others."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import Precision
from jaxtyping import Float

from attn_jax.ops.common import Size, is_concrete, pair, shape_of, widened
from attn_jax.ops.grids import centres

# Relative to the layout's extent: points that are nearer coincide, a narrower layout is a line.
_DEGENERATE = 1e-6


def control_grid(count: Size, extent: float = 1.0) -> Float[np.ndarray, "K 2"]:
    """Lay out control points regularly: rows x columns of (x, y) over [-extent, extent]^2.

    Args:
      count: rows = columns, or (rows, columns), at least 2 each.
      extent: the coordinate of the outermost points.

    Returns:
      The points row by row, as a NumPy array: a layout must be known while tracing.

    Raises:
      ValueError: if a count is below 2.

    >>> control_grid(2).tolist()
    [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]
    """
    rows, columns = pair(count)
    if min(rows, columns) < 2:
        raise ValueError(f"count must be at least 2 each way; got {count}")
    y, x = (np.linspace(-extent, extent, n) for n in (rows, columns))
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def thin_plate_spline_grid(
    points: Float[Array, "K 2"],
    size: tuple[int, int],
    *,
    control: Float[Array, "K 2"] | Float[np.ndarray, "K 2"],
    align_corners: bool = False,
) -> Float[Array, "h w 2"]:
    """Compute where the thin-plate spline f reads that takes control_k to points_k.

    S_i = f(x_i, y_i), f(p) = a_0 + A p + sum_k w_k phi(|p - control_k|), phi(r) = r^2 log r. It is
    linear in the points: S_i = (x_i, y_i) + M (points - control). M [h w, K] holds the solution of
    the layout's linear system, which is computed once in float64 while tracing, so that a call is
    one matrix product. Points that are the control points give the identity's grid exactly.

    Args:
      points: the places (x, y) in the input that the control points read.
      size: (h, w) of the output.
      control: the control points' places in the output, known while tracing; see `control_grid`.
      align_corners: whether +-1 are the centres (True) or outer edges (False) of border pixels.

    Returns:
      The grid of (x, y), at least float32.

    Raises:
      ValueError: if points or control are not [K, 2] with one K, the control points coincide or
        lie on a line, or a size is below 1.
      TypeError: if control is traced, or points are not floating point.

    Reference: Bookstein 1989, Principal warps.

    >>> control = control_grid(2)
    >>> thin_plate_spline_grid(jnp.asarray(control) + 0.5, (1, 1), control=control).tolist()
    [[[0.5, 0.5]]]
    """
    layout = checked_layout(control)
    _check_points(points, layout)
    m = _weights(tuple(map(tuple, layout.tolist())), pair(size), align_corners)
    points = widened("points", points)
    # At less than the highest precision a matrix unit would round the coordinates.
    m = jnp.asarray(m, points.dtype)
    moved = points - jnp.asarray(layout, points.dtype)
    bend = jnp.tensordot(m, moved, 1, precision=Precision.HIGHEST)
    return jnp.asarray(_places(pair(size), align_corners), points.dtype) + bend


def inverse_points(
    points: Float[Array, "K 2"], control: Float[Array, "K 2"] | Float[np.ndarray, "K 2"]
) -> Float[Array, "K 2"]:
    """Compute the points of the spline g that leads back: g(points_k) = control_k.

    Of the splines f that `thin_plate_spline_grid` makes of this layout, an inverse is in general no
    spline: g(f(p)) = p is exact, to rounding, at the control points alone. g has the same layout,
    so that the same read takes it; its points solve a linear system, the spline's values at
    `points`.

    Args:
      points: the places (x, y) in the input that the control points read.
      control: the control points' places in the output, known while tracing.

    Returns:
      The points of g, at least float32. Traced points that determine none, such as two that are
      one, give zeros with gradient 0, which read the middle of the image everywhere.

    Raises:
      ValueError: as `thin_plate_spline_grid` does, and if points are known to determine none.
      TypeError: if control is traced, or points are not floating point.

    >>> control = control_grid(2)
    >>> inverse_points(jnp.asarray(control) + 0.5, control)[0].round(5).tolist()
    [-1.5, -1.5]
    """
    layout = checked_layout(control)
    _check_points(points, layout)
    wide = widened("points", points)
    known = _leads_back(jax.lax.stop_gradient(wide), layout)
    if is_concrete(points) and not known:
        raise ValueError(f"points must determine a spline back; got {np.asarray(points).tolist()}")
    control = jnp.asarray(layout, wide.dtype)
    # Replaced before anything is computed of them: a gradient would be NaN.
    weights = _weights_at(jnp.where(known, wide, control), layout)
    return jnp.where(known, jnp.linalg.solve(weights, control), 0)


def _leads_back(points: Array, layout: np.ndarray) -> Array:
    """Whether the system that leads the points back is regular, beyond rounding."""
    weights = _weights_at(points, layout)
    finite = jnp.isfinite(weights).all()
    values = jnp.linalg.svd(jnp.where(finite, weights, 0), compute_uv=False)
    return finite & (values[-1] > 100 * jnp.finfo(points.dtype).eps * values[0])


def _weights_at(points: Array, layout: np.ndarray) -> Float[Array, "K K"]:
    """The weight of each control point in the spline's value at points_k."""
    solution = jnp.asarray(_solution(tuple(map(tuple, layout.tolist()))), points.dtype)
    return jnp.matmul(_traced_basis(points, layout), solution, precision=Precision.HIGHEST)


def _check_points(points: Array, layout: np.ndarray) -> None:
    if shape_of(points) != layout.shape:
        raise ValueError(
            f"points must have the shape of control, {layout.shape}; got {shape_of(points)}"
        )


def checked_layout(
    control: Float[Array, "K 2"] | Float[np.ndarray, "K 2"],
) -> Float[np.ndarray, "K 2"]:
    """Check that control points determine a spline, and return them in float64.

    Raises:
      ValueError: if they are not [K, 2], not finite, coincide or lie on a line.
      TypeError: if they are traced.
    """
    if not is_concrete(control):
        raise TypeError("control must be known while tracing: close over it; got a traced array")
    control = np.asarray(control, np.float64)
    if control.ndim != 2 or control.shape[1] != 2:
        raise ValueError(f"control must be [K, 2]; got shape {control.shape}")
    if len(control) < 3 or not np.isfinite(control).all():
        raise ValueError(
            f"control points must be at least three, and finite; got {control.tolist()}"
        )
    spread = np.linalg.svd(control - control.mean(0), compute_uv=False)
    apart = np.sqrt(_squares(control, control))
    np.fill_diagonal(apart, np.inf)
    i, j = np.unravel_index(apart.argmin(), apart.shape)
    if apart[i, j] <= _DEGENERATE * spread[0]:
        raise ValueError(
            f"control points must differ; got {control[i].tolist()} at {min(i, j)} and {max(i, j)}"
        )
    if spread[1] <= _DEGENERATE * spread[0]:
        raise ValueError(f"control points must not lie on one line; got {control.tolist()}")
    return control


def _squares(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Squared distances |p_i - q_j|^2."""
    return ((p[:, None] - q[None]) ** 2).sum(-1)


def _traced_basis(p: Array, control: np.ndarray) -> Array:
    """`_basis` of traced points, whose derivatives are finite also at a control point."""
    square = ((p[:, None] - jnp.asarray(control, p.dtype)[None]) ** 2).sum(-1)
    phi = square * jnp.log(jnp.where(square > 0, square, 1.0)) / 2
    return jnp.concatenate([phi, jnp.ones_like(p[:, :1]), p], 1)


def _basis(p: np.ndarray, control: np.ndarray) -> np.ndarray:
    """The functions that a spline combines, at p_i: phi(|p_i - c_k|), 1, p_i; 0 log 0 = 0."""
    square = _squares(p, control)
    phi = square * np.log(np.where(square > 0, square, 1.0)) / 2
    return np.hstack([phi, np.ones((len(p), 1)), p])


def _places(size: tuple[int, int], align_corners: bool) -> np.ndarray:
    y, x = (centres(n, align_corners) for n in size)
    return np.stack(np.meshgrid(x, y), -1)


@functools.lru_cache(maxsize=16)
def _weights(
    layout: tuple[tuple[float, float], ...], size: tuple[int, int], align_corners: bool
) -> np.ndarray:
    """M [h, w, K], the weight of each control point at each place."""
    places = _places(size, align_corners).reshape(-1, 2)
    return (_basis(places, np.array(layout)) @ _solution(layout)).reshape(*size, len(layout))


@functools.lru_cache(maxsize=16)
def _solution(layout: tuple[tuple[float, float], ...]) -> np.ndarray:
    """[K + 3, K], which takes the points to the spline's coefficients, under P^T w = 0."""
    control = np.array(layout)
    top = _basis(control, control)
    bottom = np.hstack([top[:, len(control) :].T, np.zeros((3, 3))])
    return np.linalg.inv(np.vstack([top, bottom]))[:, : len(control)]
