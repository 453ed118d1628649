"""Pixel matrices against formulas written on their own, place by place in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import affine_grid, from_pixel_matrix, projective_grid, to_pixel_matrix
from attn_jax.ops.transforms import inverse
from tests.source_checks import refuses
from tests.xla import QUICK

_jit = functools.partial(jax.jit, compiler_options=QUICK)

RNG = np.random.default_rng(0)
# name -> (a transform, (H, W), (h, w))
CASES = {
    "theta": (RNG.normal(size=(2, 3)), (28, 42), (7, 5)),
    "homography": (np.eye(3) + RNG.uniform(-0.2, 0.2, size=(3, 3)), (28, 42), (7, 5)),
    "a volume": (RNG.normal(size=(3, 4)), (8, 28, 42), (3, 7, 5)),
}
cases = pytest.mark.parametrize(("where", "seen", "made"), CASES.values(), ids=CASES)


def whole(matrix):
    """Homogeneous."""
    if matrix.shape[0] == matrix.shape[1]:
        return np.asarray(matrix, np.float64)
    return np.vstack([matrix, np.eye(matrix.shape[1])[-1]])


def through_coordinates(where, seen, made, pixel, align_corners):
    """Where a pixel of the output reads, in pixels of the input, (x, y): axis by axis."""
    if align_corners:
        place = [2 * p / (n - 1) - 1 for p, n in zip(pixel, made[::-1], strict=True)]
    else:
        place = [(p + 0.5) / n * 2 - 1 for p, n in zip(pixel, made[::-1], strict=True)]
    *read, w = whole(where) @ [*place, 1]
    if align_corners:
        return [(c / w + 1) / 2 * (n - 1) for c, n in zip(read, seen[::-1], strict=True)]
    return [(c / w + 1) / 2 * n - 0.5 for c, n in zip(read, seen[::-1], strict=True)]


@pytest.mark.parametrize("align_corners", [False, True])
@cases
def test_a_pixel_matrix_leads_where_the_coordinates_do(where, seen, made, align_corners):
    with jax.enable_x64(True):
        matrix = to_pixel_matrix(jnp.asarray(where), seen, made, align_corners=align_corners)
    assert matrix.shape == where.shape and matrix.dtype == np.float64
    for pixel in np.ndindex(made[::-1]):
        *read, w = whole(matrix) @ [*pixel, 1]
        expected = through_coordinates(where, seen, made, pixel, align_corners)
        np.testing.assert_allclose(np.array(read) / w, expected, atol=1e-9)


@cases
def test_from_pixels_is_the_way_back_also_in_float32_and_under_jit(where, seen, made):
    where = jnp.asarray(where, jnp.float32)
    matrix = _jit(lambda t: to_pixel_matrix(t, seen, made))(where)
    back = _jit(lambda m: from_pixel_matrix(m, seen, made))(matrix)
    assert matrix.dtype == back.dtype == jnp.float32
    np.testing.assert_allclose(back, where, atol=1e-5)


@pytest.mark.parametrize("grid_of", [affine_grid, projective_grid])
def test_shifts_turns_and_scales_that_are_known_in_pixels(grid_of):
    """A turn by 90 degrees about pixel (0, 0), shifted by (20, 3), at twice the scale."""
    rows = [[0.0, -2, 20], [2, 0, 3]] + [[0.0, 0, 1]] * (grid_of is projective_grid)
    theta = from_pixel_matrix(jnp.array(rows), (24, 32), (6, 9))
    grid = np.asarray(grid_of(theta, (6, 9)))
    for y, x in np.ndindex(6, 9):
        read = (grid[y, x] + 1) / 2 * [32, 24] - 0.5
        np.testing.assert_allclose(read, [20 - 2 * y, 3 + 2 * x], atol=1e-4)


def test_the_middle_of_an_image_and_the_other_direction():
    half = to_pixel_matrix(jnp.array([[0.5, 0, 0], [0, 0.5, 0]]), (42, 42), (28, 28))
    np.testing.assert_allclose(half, [[0.75, 0, 10.375], [0, 0.75, 10.375]], rtol=1e-6)
    onward = inverse(half)  # from the input to the output, as OpenCV takes it without a flag
    np.testing.assert_allclose(onward[0], [4 / 3, 0, -10.375 * 4 / 3], rtol=1e-6)


REFUSED = {
    "control points": (
        lambda: to_pixel_matrix(jnp.zeros((16, 2)), (8, 8), (8, 8)),
        r"where must be theta \(2, 3\) or \(3, 4\), or a homography .*; got shape \(16, 2\)",
    ),
    "a matrix of control points": (
        lambda: from_pixel_matrix(jnp.zeros((4, 2)), (8, 8), (8, 8)),
        r"matrix must be theta .*; got shape \(4, 2\)",
    ),
    "a volume's size": (
        lambda: to_pixel_matrix(jnp.eye(2, 3), (8, 8, 8), (8, 8)),
        r"size must be \(h, w\), .*; got \(8, 8, 8\)",
    ),
    "a size of zero": (
        lambda: to_pixel_matrix(jnp.eye(3, 4), (8, 8, 8), (8, 0, 8)),
        r"size must be \(d, h, w\), .*; got \(8, 0, 8\)",
    ),
    "one aligned pixel": (
        lambda: to_pixel_matrix(jnp.eye(2, 3), (8, 1), (8, 8), align_corners=True),
        r"with align_corners every axis needs two pixels; got \(8, 1\)",
    ),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_clear_line(wrong, message):
    with refuses(message):
        wrong()


@pytest.mark.usefixtures("bad_input")
def test_whole_numbers_are_refused():
    with refuses("where must be floating point; got int32", TypeError):
        to_pixel_matrix(jnp.eye(2, 3, dtype=jnp.int32), (8, 8), (8, 8))
