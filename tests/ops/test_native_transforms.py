"""The native sampler under JAX's transformations: vmap, forward mode, second derivatives, scan."""

import functools
import itertools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.test_util import check_grads

from attn_jax.ops.native import formula, library
from attn_jax.ops.padding import PADDINGS
from tests.native_problems import affine, images, problem, sampler, thetas
from tests.xla import QUICK

pytestmark = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")

EVERY = pytest.mark.parametrize("padding", PADDINGS)
SHARDED = [(4, 6, 5, 3), (4, 2, 3)]  # images, thetas


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_over_image_theta_or_both(axes):
    f = affine()[0]
    args = [
        x.astype(jnp.float32) if a == 0 else x[0].astype(jnp.float32)
        for x, a in zip((images(), thetas()), axes, strict=True)
    ]

    def loss(f):
        return lambda *args: jnp.sum(jnp.sin(f(*args)))

    def one_by_one(image, theta):
        pick = [
            lambda b, x=x, a=a: x[b] if a == 0 else x
            for x, a in zip((image, theta), axes, strict=True)
        ]
        return jnp.stack([f(*(p(b) for p in pick)) for b in range(3)])

    mapped = jax.vmap(f, in_axes=axes)
    np.testing.assert_array_equal(mapped(*args), one_by_one(*args))
    ours = jax.grad(loss(mapped), (0, 1))(*args)
    for mine, theirs in zip(ours, jax.grad(loss(one_by_one), (0, 1))(*args), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_nested_vmap_with_other_axes():
    f = affine()[0]
    image, theta = images(2).astype(jnp.float32), thetas(6).reshape(2, 3, 2, 3).astype(jnp.float32)
    inner = jax.vmap(f, in_axes=(None, 0), out_axes=-1)
    out = jax.jit(jax.vmap(inner, in_axes=(0, 0)))(image, theta)
    assert out.shape == (2, 7, 4, 3, 3)
    np.testing.assert_array_equal(out[1, ..., 2], f(image[1], theta[1, 2]))
    swapped = jax.vmap(jax.vmap(f, in_axes=(0, None)), in_axes=(None, 0))(image, theta[0])
    np.testing.assert_array_equal(swapped[2, 1], f(image[1], theta[0, 2]))


@EVERY
def test_forward_mode_and_second_derivatives_agree_with_the_formula(padding):
    spec = formula.Spec(padding, False, None, 1)
    fill_counts = float(padding == "constant")

    def derivatives(f):
        def loss(*args):
            return jnp.sum(jnp.sin(jax.vmap(f)(*args)))

        @functools.partial(jax.jit, compiler_options=QUICK)
        def of(args, tangents):
            def slope(*args):
                grads = jax.grad(loss, (0, 1, 2))(*args)
                return sum(jnp.vdot(g, t) for g, t in zip(grads, tangents, strict=True))

            return jax.jvp(jax.vmap(f), args, tangents)[1], jax.grad(slope, (0, 1, 2))(*args)

        return of

    with jax.enable_x64(True):
        args = tuple(jnp.asarray(x) for x in problem((4, 5, 2), n=9, batch=2)[:3])
        tangents = tuple(jnp.cos(7 * x) for x in args)
        ours = derivatives(sampler(padding, False))(args, tangents)
        theirs = derivatives(lambda i, g, f: formula.sample(i, g, fill_counts * f, spec))(
            args, tangents
        )
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@EVERY
def test_first_and_second_derivatives_agree_with_differences(padding):
    with jax.enable_x64(True):
        args = tuple(jnp.asarray(x) for x in problem((4, 5, 2), n=5, batch=2)[:3])
        f = jax.jit(jax.vmap(sampler(padding, False)))
        check_grads(f, args, order=2, modes=("fwd", "rev"), atol=1e-4, rtol=1e-4, eps=1e-5)


def test_derivatives_of_theta_agree_with_those_of_the_formula():
    spec = formula.Spec("reflection", True, (7, 4), 2)
    image, theta = images()[0].astype(jnp.float32), thetas()[0].astype(jnp.float32)

    def hessian(f):
        hess = jax.hessian(lambda t: jnp.sum(f(t) ** 2))  # forward over reverse
        return jax.jit(hess, compiler_options=QUICK)(theta)

    ours = hessian(lambda t: affine("reflection", align_corners=True)[0](image, t))
    theirs = hessian(lambda t: formula.sample(image, t, jnp.zeros(3), spec))
    assert np.abs(ours).max() > 1
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_the_grid_alone_asks_for_no_image_gradient():
    image, theta = images()[0].astype(jnp.float32), thetas()[0].astype(jnp.float32)
    wanted = jax.make_jaxpr(jax.grad(lambda t: affine()[0](image, t).sum()))(theta)
    (call,) = [e for e in wanted.eqns if e.primitive.name == "attn_jax_sample_cotangents"]
    assert call.params["wrt"] == (False, True, False)


@pytest.mark.parametrize("wrt", [(2,), (1, 2), (0, 2)])
def test_any_choice_of_gradients_is_part_of_all(wrt):
    image, grid, fill, _ = (jnp.asarray(x, jnp.float32) for x in problem((6, 5, 3)))

    def total(*args):
        return jnp.sin(jax.vmap(sampler("constant", False))(*args)).sum()

    every = jax.grad(total, (0, 1, 2))(image, grid, fill)
    assert all(jnp.abs(gradient).max() > 0.1 for gradient in every)
    for i, gradient in zip(wrt, jax.grad(total, wrt)(image, grid, fill), strict=True):
        np.testing.assert_array_equal(gradient, every[i])


MAPPED = list(itertools.product([0, None], repeat=3))


@pytest.mark.parametrize("outer", [(0, 0, 0), (None, 0, None)], ids=str)
@pytest.mark.parametrize("inner", [axes for axes in MAPPED if any(a == 0 for a in axes)], ids=str)
def test_what_is_not_mapped_has_the_sum_of_its_gradients(inner, outer):
    """Two batches, each mapping some of image, grid and fill."""
    spec = formula.Spec("constant", False, None, 1)
    args = []
    for x, i, o in zip(problem((4, 5, 2), n=7, batch=6)[:3], inner, outer, strict=True):
        x = jnp.asarray(x, jnp.float32).reshape(2, 3, *x.shape[1:])
        x = x if o == 0 else x[0]
        args.append(x if i == 0 else x.take(0, axis=0 if o is None else 1))

    def pulled(f):
        mapped = jax.vmap(jax.vmap(f, inner), outer)

        @functools.partial(jax.jit, compiler_options=QUICK)
        def both(*args):
            out, pull = jax.vjp(mapped, *args)
            several = jax.vmap(pull)(jnp.stack([jnp.cos(out), jnp.sin(out)]))
            return out, pull(jnp.cos(out)), several

        return both(*args)

    ours, theirs = (
        pulled(sampler("constant", False)),
        pulled(lambda *one: formula.sample(*one, spec)),
    )
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_a_shared_image_has_one_gradient_not_one_for_each_look():
    looks = jnp.zeros((50, 1, 2))
    f = jax.grad(lambda i: jax.vmap(sampler("zeros", False), (None, 0, None))(i, looks, 0.0).sum())
    compiled = jax.jit(f).lower(jnp.zeros((64, 64, 1))).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * 64 * 64 * 4


def test_it_is_transposed_as_linear_in_image_and_fill():
    image, grid, fill, g = (jnp.asarray(x[0], jnp.float32) for x in problem((6, 5, 3)))

    def f(image, fill):
        return sampler("constant", False)(image, grid, fill)

    by_transpose = jax.linear_transpose(f, image, fill)(g)
    for mine, other in zip(by_transpose, jax.vjp(f, image, fill)[1](g), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_inside_a_scan_with_rematerialisation():
    image, theta = images()[0].astype(jnp.float32), thetas(4).astype(jnp.float32)
    f = affine()[0]

    def loss(image, theta):
        step = jax.checkpoint(lambda total, t: (total + jnp.sin(f(image, t)).sum(), None))
        return jax.lax.scan(step, 0.0, theta)[0]

    def plain(image, theta):
        return jnp.sin(jax.vmap(f, (None, 0))(image, theta)).sum()

    ours, theirs = (jax.jit(jax.grad(x, (0, 1)))(image, theta) for x in (loss, plain))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_another_platform_goes_through_xla():
    f = jax.jit(jax.grad(lambda i, t: affine()[0](i, t).sum(), (0, 1)))
    traced = f.trace(jnp.zeros((6, 5, 3)), jnp.zeros((2, 3)))
    assert "attn_jax_gradients" in traced.lower(lowering_platforms=("cpu",)).as_text()
    assert "attn_jax_" not in traced.lower(lowering_platforms=("cuda",)).as_text()


def test_several_devices_go_through_xla_which_divides_the_work():
    mesh = jax.sharding.AbstractMesh((2,), ("b",), (AxisType.Auto,))
    shard = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("b"))
    args = [jax.ShapeDtypeStruct(shape, jnp.float32, sharding=shard) for shape in SHARDED]
    lowered = jax.jit(jax.vmap(affine()[0])).trace(*args).lower(lowering_platforms=("cpu",))
    assert "attn_jax_" not in lowered.as_text()


@pytest.mark.parametrize("specs", [("b", "b"), (None, "b"), ("b", None)])
def test_a_shard_map_may_share_an_argument(specs):
    mesh = jax.make_mesh((1,), ("b",), axis_types=(AxisType.Auto,))
    specs = tuple(map(jax.sharding.PartitionSpec, specs))
    args = images(4).astype(jnp.float32), thetas(4).astype(jnp.float32)

    def loss(f):
        return lambda *args: jnp.sin(f(*args)).sum()

    f = jax.vmap(affine()[0])
    sharded = jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=jax.sharding.PartitionSpec("b"))
    gradient = jax.jit(jax.grad(loss(sharded), (0, 1)))
    assert "attn_jax_gradients" in gradient.lower(*args).as_text()
    for mine, other in zip(gradient(*args), jax.grad(loss(f), (0, 1))(*args), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_what_is_exported_is_xlas():
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in SHARDED]
    exported = jax.export.export(jax.jit(jax.vmap(affine()[0])), platforms=["cpu"])(*shapes)
    assert "@attn_jax_" not in exported.mlir_module()
