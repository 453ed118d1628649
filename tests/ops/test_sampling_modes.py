"""The samplers in JAX's modes: debugging, strict dtypes, explicit meshes, Taylor; at huge sizes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.jet import jet
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from attn_jax import ops
from attn_jax.ops import grid_sample, native
from tests.ops import sampling_cases as cases
from tests.xla import QUICK

BOTH = pytest.mark.parametrize("implementation", cases.IMPLEMENTATIONS)
CONTROL = ops.control_grid(2)
# name -> (read, where)
READS = {
    "retina": (ops.retina(2, scales=2), jnp.zeros(2)),
    "crop": (ops.crop(2), jnp.zeros(2)),
    "gaussian_grid": (ops.gaussian_grid(2), jnp.zeros(5)),
    "affine": (ops.affine(2), jnp.eye(2, 3)),
    "projective": (ops.projective(2), jnp.eye(3)),
    "thin_plate_spline": (ops.thin_plate_spline(2, CONTROL), jnp.asarray(CONTROL)),
    "weighted_sum": (ops.weighted_sum(), jnp.ones((5, 4))),
    "mask": (ops.mask(), jnp.ones((5, 4))),
}
reads = pytest.mark.parametrize(("read", "where"), READS.values(), ids=READS)


def total(f):
    return lambda *args: f(*args).astype(jnp.float32).sum()


@BOTH
@pytest.mark.parametrize("padding", cases.PADDINGS)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("shape", [(1, 5, 1), (4, 3, 1)], ids=str)
def test_legal_coordinates_make_no_nan_on_the_way(implementation, padding, align_corners, shape):
    chosen = cases.options("bilinear", padding, align_corners, implementation)
    chosen["fill"] = 0.5 if padding == "constant" else 0.0
    grid = jnp.array([[0.0, jnp.inf], [-jnp.inf, 3e38], [0.2, 0.1], [-1e30, jnp.inf]])
    with jax.debug_nans(True), jax.disable_jit(implementation == "xla"):
        out, pull = jax.vjp(lambda *a: grid_sample(*a, **chosen), jnp.ones(shape), grid)
        pull(out)


@BOTH
@pytest.mark.parametrize("dtypes", [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_any_two_dtypes_where_jax_refuses_to_mix_them(implementation, dtypes):
    if implementation == "native" and dtypes[0] == "bfloat16":
        dtypes = ("float32", "float16")  # native images are wide
    image, grid = (jnp.ones(s, d) for s, d in zip([(3, 3, 1), (2, 2)], dtypes, strict=True))
    with jax.numpy_dtype_promotion("strict"):
        f = functools.partial(grid_sample, implementation=implementation)
        gradients = jax.grad(total(f), (0, 1))(image, grid)
    assert [g.dtype for g in gradients] == list(dtypes)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "lanczos3"])
@pytest.mark.parametrize("padding", cases.PADDINGS)
def test_every_mode_and_padding_where_jax_refuses_to_mix_dtypes(mode, padding):
    image, grid = jnp.ones((5, 4, 2), jnp.bfloat16), jnp.zeros((3, 2))
    chosen = {"mode": mode, "padding": padding, "implementation": "xla"}
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(
            jax.grad(total(functools.partial(grid_sample, **chosen)), (0, 1)), image, grid
        )
        with jax.enable_x64(True):
            wide = jax.ShapeDtypeStruct((3, 2), jnp.float64)
            out = jax.eval_shape(functools.partial(grid_sample, **chosen), image, wide)
    assert out.dtype == jnp.bfloat16


@reads
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_read_where_jax_refuses_to_mix_dtypes(read, where, dtype):
    with jax.numpy_dtype_promotion("strict"):
        out = jax.eval_shape(jax.grad(total(read), (0, 1)), jnp.ones((5, 4, 2), dtype), where)
    assert [g.dtype for g in out] == [dtype, jnp.float32]


def test_scores_and_weights_where_jax_refuses_to_mix_dtypes():
    scores = jnp.arange(3.0)
    with jax.numpy_dtype_promotion("strict"):
        assert jax.grad(lambda e: ops.sparsemax(e)[0])(scores.astype(jnp.bfloat16)).shape == (3,)
        for f in (ops.masked_softmax, ops.masked_log_softmax, ops.categorical_entropy):
            jax.grad(lambda e, f=f: f(e).sum())(scores)


@BOTH
def test_a_batch_on_explicit_axes_has_the_gradients_of_one_that_is_not_shared_out(implementation):
    images, grids = (jnp.asarray(a, jnp.float32) for a in cases.pairs(2, 4))
    sample = jax.vmap(functools.partial(grid_sample, implementation=implementation))
    f = jax.grad(lambda *a: jnp.sin(sample(*a)).sum(), (0, 1))
    mesh = jax.make_mesh((1,), ("b",), axis_types=(AxisType.Explicit,))
    spread = NamedSharding(mesh, PartitionSpec("b"))
    for one in (f, jax.jit(f)):
        with jax.set_mesh(mesh):
            got = one(*(jax.device_put(x, spread) for x in (images, grids)))
        for mine, expected in zip(got, f(images, grids), strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-5)
    got = jax.jit(f)(jax.device_put(images, spread), jax.device_put(grids, spread))
    np.testing.assert_allclose(got[0], f(images, grids)[0], atol=1e-5)


KINDS = [(mode, "xla") for mode in ("nearest", "bilinear", "bicubic")] + [("bilinear", "native")]
# Compiling takes ten seconds each: by default every kind's value, and bilinear gradients.
DEFAULT = [(*kind, "zeros", "value") for kind in KINDS]
DEFAULT += [("bilinear", one, "zeros", "gradient") for one in ("xla", "native")]
DEFAULT += [("bilinear", "xla", "reflection", "value")]
TAYLOR = [
    pytest.param(*one, marks=() if one in DEFAULT else pytest.mark.slow)
    for kind, *others in itertools.product(KINDS, ("zeros", "reflection"), ("value", "gradient"))
    for one in [(*kind, *others)]
]


@pytest.mark.parametrize(("mode", "implementation", "padding", "what"), TAYLOR)
def test_taylor_coefficients_are_the_derivatives_along_a_line(mode, implementation, padding, what):
    chosen = {"mode": mode, "padding": padding, "implementation": implementation}
    with jax.enable_x64(True):
        images, grids = map(jnp.asarray, cases.pairs(2, 2))
        sample = jax.vmap(functools.partial(grid_sample, **chosen))
        f = lambda g: jnp.sin(sample(images, g)).sum()  # noqa: E731
        f = jax.grad(f) if what == "gradient" else f

        # One program: a small one for each operation takes longer.
        @functools.partial(jax.jit, compiler_options=QUICK)
        def both(grids, along):
            nothing = jnp.zeros_like(along)
            value, terms = jet(f, (grids,), ((along, nothing, nothing),))
            g, expected = (lambda t: f(grids + t * along)), [f(grids)]
            for _ in range(3):
                g = functools.partial(lambda g, t: jax.jvp(g, (t,), (1.0,))[1], g)
                expected.append(g(0.0))
            return [value, *terms], expected

        for mine, theirs in zip(*both(grids, jnp.cos(grids)), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_kernel_without_taylor_coefficients_says_so():
    f = functools.partial(grid_sample, jnp.ones((3, 3, 1)), mode="lanczos3")
    with pytest.raises(NotImplementedError, match="jet of mode='lanczos3'"):
        jet(f, (jnp.zeros((1, 2)),), ((jnp.ones((1, 2)),),))


@BOTH
@pytest.mark.parametrize("shape", [(65536, 32769, 1), (20000, 20000, 6)], ids=str)
def test_more_numbers_than_int32_counts(implementation, shape):
    """Lowered, not run; no index may be of an axis that int32 does not count."""
    f = functools.partial(grid_sample, implementation=implementation)
    for g in (f, jax.grad(lambda *a: f(*a).sum(), (0, 1))):
        image, grid = jax.ShapeDtypeStruct(shape, jnp.float32), jnp.zeros((3, 2))
        text = jax.jit(g).lower(image, grid).as_text()
        assert "stablehlo.gather" in text and "attn_jax_" not in text
        assert all(max(axes) < 2**31 for axes in indexed(text)), shape


def test_more_numbers_of_a_volume_than_int32_counts():
    volume = jax.ShapeDtypeStruct((512, 512, 512, 17), jnp.float32)
    gradient = jax.grad(lambda v: grid_sample(v, jnp.zeros((3, 3))).sum())
    found = list(indexed(jax.jit(gradient).lower(volume).as_text()))
    assert found and all(max(axes) < 2**31 for axes in found)


def indexed(text):
    """The shapes of the arrays that gathers read and scatters write."""
    for line in text.splitlines():
        if "stablehlo.gather" in line or "}) : (tensor<" in line:
            operand = line.rpartition(" : (tensor<")[2].partition(">")[0]
            yield [int(n) for n in operand.split("x")[:-1]]


LONG = 2**24 + 1


@BOTH
@pytest.mark.parametrize("shape", [(1, LONG, 1), (LONG, 1, 1)], ids=str)
def test_an_axis_that_float32_cannot_count_is_refused(implementation, shape):
    image, grid = jax.ShapeDtypeStruct(shape, jnp.float32), jnp.zeros((3, 2))
    f = functools.partial(grid_sample, implementation=implementation)
    message = "at most 16777216 pixels where places are computed in float32; got 16777217"
    for g in (f, jax.grad(lambda *a: f(*a).sum(), (0, 1))):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(g, image, grid)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda i: ops.affine_sample(i, jnp.eye(2, 3), (2, 2)), image)
    short = jax.ShapeDtypeStruct([min(n, LONG - 1) for n in shape], jnp.float32)
    assert jax.eval_shape(f, short, grid).shape == (3, 1)
    with jax.enable_x64(True):
        wide = jax.ShapeDtypeStruct((3, 2), jnp.float64)
        assert jax.eval_shape(f, image, wide).shape == (3, 1)


@pytest.mark.parametrize("name", [n for n in READS if n not in ("weighted_sum", "mask")])
def test_every_read_refuses_an_axis_that_float32_cannot_count(name):
    read, where = READS[name]
    with pytest.raises(ValueError, match="at most 16777216 pixels where places are computed"):
        jax.eval_shape(read, jax.ShapeDtypeStruct((4, LONG, 1), jnp.float32), where)


@cases._needs_compiler
@pytest.mark.parametrize("axes", [(None, 0), (0, 0), (0, None)], ids=str)
def test_a_batch_of_none_has_gradients_of_zero(axes):
    """What is shared has a gradient all the same; memory that held ones before shows it."""

    def kept(x, axis):
        return jnp.ones((0, *x)) if axis == 0 else jnp.ones(x)

    args = [kept(x, a) for x, a in zip([(300, 200, 3), (7, 2)], axes, strict=True)]
    f = jax.vmap(native.sample, axes)
    gradients = jax.jit(jax.grad(lambda *a: f(*a).sum(), (0, 1)))
    for _ in range(3):
        used = [jnp.ones(x.shape) + 1 for x in args]
        del used
        for gradient, x in zip(gradients(*args), args, strict=True):
            np.testing.assert_array_equal(gradient, jnp.zeros_like(x))


@cases._needs_compiler
def test_an_empty_axis_within_a_batch_has_gradients_of_zero():
    images, grids = jnp.ones((2, 30, 20, 3)), jnp.ones((2, 0, 7, 2))
    looks = jax.vmap(jax.vmap(native.sample, (None, 0)))
    gradient = jax.jit(jax.grad(lambda i: looks(i, grids).sum()))(images)
    np.testing.assert_array_equal(gradient, jnp.zeros_like(images))
