"""The native sampler under JAX's transformations: vmap, forward mode, second derivatives, scan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from native_problems import affine, images, problem, sampler, thetas

from attn_jax.ops.native import formula, library

pytestmark = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")

EVERY = pytest.mark.parametrize("padding", formula.PADDINGS)
QUICK = {"xla_backend_optimization_level": 0}


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
