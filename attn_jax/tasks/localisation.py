"""Boxes: the one that a transform reads, and how far two overlap."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

# (x0, y0, x1, y1), x0 <= x1 and y0 <= y1
Boxes = Float[Array | np.ndarray, "*n 4"]


def box_of(theta: Float[Array, "*n 2 3"]) -> Float[Array, "*n 4"]:
    """Bound what an affine transform reads by a box (x0, y0, x1, y1), in the frame of theta.

    >>> box_of(jnp.array([[0.5, 0.0, 0.5], [0.0, 0.25, 0.0]])).tolist()
    [0.0, -0.25, 1.0, 0.25]
    """
    half, centre = jnp.abs(theta[..., :2]).sum(-1), theta[..., 2]
    return jnp.concatenate([centre - half, centre + half], -1)


def overlap(boxes: Boxes, others: Boxes) -> Float[Array, "*n"]:
    """Divide the area that two boxes share by the area that either covers; 0 of empty ones.

    It is known as intersection over union.

    Args:
      boxes, others: (x0, y0, x1, y1), x0 <= x1 and y0 <= y1.

    >>> one, other = jnp.array([0.0, 0.0, 2.0, 1.0]), jnp.array([1.0, 0.0, 3.0, 1.0])
    >>> round(float(overlap(one, other)), 4)
    0.3333
    """
    low = jnp.maximum(boxes[..., :2], others[..., :2])
    high = jnp.minimum(boxes[..., 2:], others[..., 2:])
    shared = jnp.maximum(high - low, 0).prod(-1)
    either = _area(boxes) + _area(others) - shared
    return jnp.where(either > 0, shared / jnp.where(either > 0, either, 1), 0)


def _area(boxes: Boxes) -> Float[Array | np.ndarray, "*n"]:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)
