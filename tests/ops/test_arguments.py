"""What arrays the samplers take: NumPy's and lists as JAX's, and only those of floating point."""

import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import ops
from attn_jax.ops import transforms

CONTROL = ops.control_grid(2)
# name -> (function, its array in float64)
OF_ARRAYS = {
    "affine_grid": (lambda a: ops.affine_grid(a, (2, 3)), np.eye(2, 3)),
    "projective_grid": (lambda a: ops.projective_grid(a, (2, 3)), np.eye(3)),
    "thin_plate_spline_grid": (
        lambda a: ops.thin_plate_spline_grid(a, (2, 3), control=CONTROL),
        CONTROL,
    ),
    "control": (
        lambda a: ops.thin_plate_spline_grid(CONTROL, (2, 3), control=a),
        CONTROL,
    ),
    "affine_sample": (lambda a: ops.affine_sample(jnp.ones((4, 4, 1)), a, (2, 3)), np.eye(2, 3)),
    "apply": (transforms.isotropic().apply, np.array([0.5, 0.1, 0.2])),
    "compose": (lambda a: transforms.compose(a, a), np.eye(2, 3)),
    "inverse": (transforms.inverse, np.eye(2, 3)),
    "gaussian_filters": (lambda a: ops.gaussian_filters(a, 2, (3, 3))[0], np.zeros(5)),
}
# name -> (read, where)
READS = {
    "retina": (ops.retina(2), jnp.zeros(2)),
    "crop": (ops.crop(2), jnp.zeros(2)),
    "gaussian_grid": (ops.gaussian_grid(2), jnp.zeros(5)),
    "affine": (ops.affine(2), jnp.eye(2, 3)),
    "projective": (ops.projective(2), jnp.eye(3)),
    "thin_plate_spline": (ops.thin_plate_spline(2, CONTROL), jnp.asarray(CONTROL)),
    "weighted_sum": (ops.weighted_sum(), jnp.ones((4, 4))),
    "mask": (ops.mask(), jnp.ones((4, 4))),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("f", "array"), OF_ARRAYS.values(), ids=OF_ARRAYS)
def test_numpy_and_lists_are_taken_as_jax_arrays(f, array):
    expected = f(jnp.asarray(array, jnp.float32))  # a warning would be an error here
    for given in (array, array.tolist()):
        out = f(given)
        assert out.dtype == jnp.float32
        np.testing.assert_array_equal(out, expected)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(
    ("f", "array"), [OF_ARRAYS[n] for n in OF_ARRAYS if n not in ("control", "affine_sample")]
)
@pytest.mark.parametrize("dtype", [jnp.int32, jnp.complex64])
def test_what_is_not_floating_point_is_refused(f, array, dtype):
    with pytest.raises(TypeError, match=f"must be floating point; got {jnp.dtype(dtype)}"):
        f(jnp.asarray(array).astype(dtype))


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("read", "where"), READS.values(), ids=READS)
def test_no_read_rounds_an_image_of_whole_numbers(read, where):
    with pytest.raises(TypeError, match=r"(image|x) must be floating point; got uint8"):
        read.apply(jnp.ones((4, 4, 1), jnp.uint8), where)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("size", [4.0, (4, 4, 4), (4.0, 4), (4,), "4"])
def test_a_size_is_one_whole_number_or_two(size):
    for make in (ops.retina, ops.crop, ops.affine, ops.projective):
        if make is ops.affine and size == (4, 4, 4):  # of a volume
            continue
        with pytest.raises(ValueError, match="size must be a whole number or .*; got"):
            make(size)
    assert ops.affine(np.int64(2)).apply(jnp.ones((4, 4, 1)), jnp.eye(2, 3)).shape == (2, 2, 1)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("size", [4, (4.0, 4), (4,), (0, 4)])
def test_a_grids_size_is_a_tuple_of_whole_numbers(size):
    with pytest.raises(ValueError, match=r"size must be \(h, w\) or \(d, h, w\), whole numbers"):
        ops.affine_grid(jnp.eye(2, 3), size)
    with pytest.raises(ValueError, match=r"size must be \(h, w\), whole numbers"):
        ops.projective_grid(jnp.eye(3), size)
