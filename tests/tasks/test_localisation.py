"""Boxes: what a transform reads, and how far two boxes overlap."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_jax.ops import transforms
from attn_jax.tasks import box_of, overlap

SIDE = st.integers(-6, 6)
BOX = st.tuples(SIDE, SIDE, st.integers(0, 5), st.integers(0, 5)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def cells(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    """The unit squares that a box of whole numbers covers."""
    x0, y0, x1, y1 = box
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


@given(BOX, BOX)
@settings(deadline=None, max_examples=60)
def test_overlap_counts_the_squares_that_are_shared(one: tuple, other: tuple):
    shared, either = cells(one) & cells(other), cells(one) | cells(other)
    expected = len(shared) / len(either) if either else 0.0
    boxes = jnp.array([one, other], jnp.float32)
    np.testing.assert_allclose(overlap(boxes[:1], boxes[1:])[0], expected, rtol=1e-6)


def test_the_box_bounds_every_place_that_is_read():
    vector = jnp.array([0.4, 0.7, 0.1, -0.3])
    theta = transforms.similarity().apply(vector)
    edges = jnp.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)]) @ theta.T
    low, high = edges.min(0), edges.max(0)
    np.testing.assert_allclose(box_of(theta), jnp.concatenate([low, high]), rtol=1e-5)
