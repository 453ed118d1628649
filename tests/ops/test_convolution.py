"""Convolutions against NumPy, in every form, under every transformation."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import jet
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

from attn_jax import ops
from attn_jax.ops.convolution import banded, canonical, on_cpu, plain
from attn_jax.ops.convolution.geometry import Geometry, make_geometry

# (H, W), kernel, strides, padding, groups
GEOMETRIES = {
    "same": ((5, 7), (3, 3), 1, "SAME", 1),
    "halved": ((6, 9), (3, 3), 2, "SAME", 1),
    "valid": ((7, 6), (4, 2), (2, 1), "VALID", 1),
    "steps over pixels": ((6, 8), (1, 2), (2, 3), "VALID", 1),
    "a point": ((5, 4), (1, 1), 2, "SAME", 1),
    "the whole image": ((4, 5), (4, 5), 1, "VALID", 1),
    "padded": ((4, 5), (3, 2), 1, ((3, 0), (1, 4)), 1),
    "grouped": ((5, 6), (3, 3), 2, "SAME", 2),
    "by channel": ((5, 6), (3, 3), 1, "SAME", 4),
}


def numbers(*shape: int, seed: int = 0, dtype=jnp.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def operands(name: str, dtype=jnp.float32) -> tuple[jax.Array, jax.Array, Geometry]:
    size, kernel, strides, padding, groups = GEOMETRIES[name]
    x = numbers(2, *size, 4, dtype=dtype)
    k = numbers(*kernel, 4 // groups, 8, seed=1, dtype=dtype)
    return x, k, make_geometry(x.shape, k.shape, strides, padding, groups)


def convolve(name: str):
    _, _, strides, padding, groups = GEOMETRIES[name]
    return partial(ops.conv, strides=strides, padding=padding, groups=groups)


def by_numpy(x, kernel, geometry: Geometry) -> np.ndarray:
    """From the definition, in float64."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    padded = np.pad(x, ((0, 0), *geometry.padding, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, geometry.kernel, (1, 2))
    windows = windows[:, :: geometry.strides[0], :: geometry.strides[1]]
    parts = zip(
        np.split(windows, geometry.groups, 3), np.split(kernel, geometry.groups, 3), strict=True
    )
    return np.concatenate([np.einsum("nyxcij,ijco->nyxo", a, b) for a, b in parts], -1)


def unit(a: jax.Array) -> np.ndarray:
    return np.asarray(a, np.float64)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_form_is_the_definition_and_its_transposes(name: str):
    x, kernel, geometry = operands(name)
    expected = by_numpy(x, kernel, geometry)
    cotangent = numbers(*expected.shape, seed=2)
    forms = [plain, canonical, on_cpu]
    tiles = (1, 2, 4) if geometry.groups == 1 else ()

    @jax.jit
    def all_forms(x, kernel, cotangent):
        of = [(f.forward, f.to_input, f.to_kernel, {}) for f in forms]
        of += [(banded.forward, banded.to_input, banded.to_kernel, {"tile": t}) for t in tiles]
        return [
            (f(x, kernel, geometry, **t), g(cotangent, kernel, geometry, **t),
             h(x, cotangent, geometry, **t)) for f, g, h, t in of
        ]  # fmt: skip

    product = (expected * unit(cotangent)).sum()
    for out, of_x, of_kernel in all_forms(x, kernel, cotangent):
        np.testing.assert_allclose(out, expected, atol=1e-4)
        assert of_x.shape == x.shape and of_kernel.shape == kernel.shape
        np.testing.assert_allclose((unit(of_x) * unit(x)).sum(), product, atol=1e-3)
        np.testing.assert_allclose((unit(of_kernel) * unit(kernel)).sum(), product, atol=1e-3)


@pytest.mark.parametrize("name", ["halved", "padded", "grouped"])
def test_gradients_are_xlas(name: str):
    x, kernel, geometry = operands(name)
    cotangent = numbers(2, *geometry.out, 8, seed=2)

    @jax.jit
    def both(x, kernel):
        return [
            jax.vjp(f, x, kernel)[1](cotangent)
            for f in (convolve(name), lambda x, k: plain.forward(x, k, geometry))
        ]

    ours, theirs = both(x, kernel)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("name", ["grouped"])
def test_derivatives_of_both_modes_and_orders_in_float64(name: str):
    with jax.enable_x64(True):
        x, kernel, _ = operands(name, jnp.float64)
        assert convolve(name)(x, kernel).dtype == jnp.float64
        check_grads(jax.jit(convolve(name)), (x[:1, :3, :3], kernel), order=2)


@pytest.mark.parametrize("name", ["halved", "grouped"])
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (3, 1), (1, 4)], ids=str)
def test_mapped_as_in_a_loop(name: str, axes: tuple):
    x, kernel, geometry = operands(name)
    shapes = [
        a.shape if axis is None else (*a.shape[:axis], 3, *a.shape[axis:])
        for a, axis in zip((x, kernel), axes, strict=True)
    ]
    x, kernel = (numbers(*s, seed=i) for i, s in enumerate(shapes))
    cotangent = numbers(3, 2, *geometry.out, 8, seed=2)

    def pulled(x, kernel, cotangent):
        out, pull = jax.vjp(convolve(name), x, kernel)
        return out, *pull(cotangent)

    mapped = jax.jit(jax.vmap(pulled, (*axes, 0)))(x, kernel, cotangent)
    alone = jax.jit(pulled)
    for i in range(3):
        one = (
            a if d is None else jnp.take(a, i, d) for a, d in zip((x, kernel), axes, strict=True)
        )
        for got, expected in zip(mapped, alone(*one, cotangent[i]), strict=True):
            np.testing.assert_allclose(got[i], expected, atol=2e-4)


def test_one_cotangent_for_all_is_mapped_too():
    x, kernel = numbers(3, 2, 5, 5, 2), numbers(3, 3, 2, 4)
    cotangent = numbers(2, 5, 5, 4)
    for axes in ((0, None), (None, 0)):
        args = [a if d == 0 else b for d, a, b in zip(axes, (x, numbers(3, 3, 3, 2, 4)),
                (x[0], kernel), strict=True)]  # fmt: skip

        def pulled(x, kernel):
            return jax.vjp(ops.conv, x, kernel)[1](cotangent)

        got = jax.jit(jax.vmap(pulled, axes))(*args)
        last = pulled(*(a[2] if d == 0 else a for d, a in zip(axes, args, strict=True)))
        for a, b in zip(got, last, strict=True):
            np.testing.assert_allclose(a[2], b, atol=1e-4)


def loss(kernel: jax.Array, x: jax.Array) -> jax.Array:
    return (ops.conv(x, kernel, strides=2) ** 2).sum()


@pytest.mark.parametrize("channels", [2, 40])
def test_inside_a_loop_no_convolution_is_of_a_slow_form(channels: int):
    x, kernel = numbers(2, 8, 8, channels), numbers(3, 3, channels, 4)

    def step(carry, _):
        kernel, x = carry
        of_kernel, of_x = jax.grad(loss, (0, 1))(kernel, x)
        return (kernel - of_kernel, x - ops.conv(of_x, numbers(3, 3, channels, channels))), None

    @jax.jit
    def run(kernel, x):
        return jax.lax.scan(step, (kernel, x), length=2)

    text = run.lower(kernel, x).compile().as_text()
    assert " while(" in text
    labels = set(re.findall(r"dim_labels=(\S+?)(?:,|$)", text))
    assert labels <= {"b01f_01io->b01f"}
    assert labels or channels == 2
    assert "reversal" not in text and "rhs_reversal" not in text


def test_remat_scan_and_taylor():
    x, kernel = numbers(2, 6, 6, 2), numbers(3, 3, 2, 2, seed=1)

    def run(f, kernel):
        return jax.lax.scan(lambda c, _: (jnp.tanh(f(c, kernel)), None), x, length=2)[0].sum()

    expected = jax.grad(partial(run, ops.conv))(kernel)
    np.testing.assert_allclose(jax.grad(partial(run, jax.checkpoint(ops.conv)))(kernel), expected)

    once, twice = jet.jet(
        ops.conv, (x, kernel), ((x, jnp.zeros_like(x)),) * 1 + ((kernel, 0 * kernel),)
    )
    np.testing.assert_allclose(twice[0], 2 * once, atol=1e-4)
    np.testing.assert_allclose(twice[1], 2 * once, atol=1e-4)


def test_halves_are_rounded_once():
    x, kernel = (a.astype(jnp.bfloat16) for a in operands("halved")[:2])
    out, pull = jax.vjp(convolve("halved"), x, kernel)
    assert {a.dtype for a in (out, *pull(out))} == {jnp.dtype(jnp.bfloat16)}
    expected = by_numpy(x.astype(jnp.float32), kernel.astype(jnp.float32), operands("halved")[2])
    np.testing.assert_allclose(unit(out), expected, rtol=2**-8)


def test_dtypes_are_promoted():
    x, kernel, _ = operands("same")
    assert convolve("same")(x.astype(jnp.bfloat16), kernel).dtype == jnp.float32
    assert convolve("same")(jnp.ones((5, 7, 4), jnp.int32), kernel).dtype == jnp.float32


def test_leading_axes_none_or_empty():
    x, kernel, geometry = operands("same")
    f = convolve("same")
    np.testing.assert_allclose(f(x[1], kernel), f(x, kernel)[1], atol=1e-5)
    assert f(x[None, :, None], kernel).shape == (1, 2, 1, *geometry.out, 8)
    out, pull = jax.vjp(f, x[:0], kernel)
    of_x, of_kernel = pull(out)
    assert (out.shape, of_x.shape) == ((0, *geometry.out, 8), (0, 5, 7, 4))
    assert not of_kernel.any() and of_kernel.shape == kernel.shape
    assert f(x[..., :0], kernel[:, :, :0]).shape == (2, *geometry.out, 8)


@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto])
def test_on_a_mesh_and_in_a_shard_map(kind: AxisType):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(kind,))
    x, kernel, _ = operands("halved")
    expected = jax.grad(lambda k: (convolve("halved")(x, k) ** 2).sum())(kernel)
    placed = jax.device_put(x, NamedSharding(mesh, P("data")))

    def total(kernel, x):
        return (convolve("halved")(x, kernel) ** 2).sum()

    with jax.set_mesh(mesh):
        got = jax.jit(jax.grad(total))(kernel, placed)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
    if kind == AxisType.Auto:
        mapped = jax.shard_map(
            lambda k, x: jax.lax.psum(total(k, x), "data"),
            mesh=mesh, in_specs=(P(), P("data")), out_specs=P(),
        )  # fmt: skip
        np.testing.assert_allclose(jax.grad(mapped)(kernel, x), expected, rtol=1e-4, atol=1e-3)


ONE = jnp.ones((4, 5, 6))
KERNEL = jnp.ones((3, 3, 6, 4))
MISUSE = {
    "an image without channels": (lambda: ops.conv(jnp.ones((4, 5)), KERNEL),
        r"x must be \[..., H, W, C\]; got \[4, 5\]"),
    "a flat kernel": (lambda: ops.conv(ONE, jnp.ones((3, 6, 4))),
        r"kernel must be \[kh, kw, C / groups, O\]; got \[3, 6, 4\]"),
    "an empty kernel": (lambda: ops.conv(ONE, jnp.ones((0, 3, 6, 4))),
        r"kernel must be \[kh, kw, C / groups, O\]; got \[0, 3, 6, 4\]"),
    "other channels": (lambda: ops.conv(ONE, jnp.ones((3, 3, 5, 4))),
        "kernel must have C / groups = 6 channels; got 5"),
    "groups that do not divide": (lambda: ops.conv(ONE, KERNEL, groups=3),
        "groups must divide 6 channels and 4 filters; got 3"),
    "no groups": (lambda: ops.conv(ONE, KERNEL, groups=0),
        "groups must divide 6 channels and 4 filters; got 0"),
    "no strides": (lambda: ops.conv(ONE, KERNEL, strides=(1, 0)),
        r"strides must be one or two whole numbers from 1; got \(1, 0\)"),
    "unknown padding": (lambda: ops.conv(ONE, KERNEL, padding="same"),
        r"padding must be 'SAME', 'VALID' or .*; got 'same'"),
    "padding below 0": (lambda: ops.conv(ONE, KERNEL, padding=((0, 0), (-1, 0))),
        r"padding must be 'SAME', 'VALID' or .*; got \(\(0, 0\), \(-1, 0\)\)"),
    "a kernel too large": (lambda: ops.conv(ONE[:2], KERNEL, padding="VALID"),
        r"kernel \[3, 3\] must fit into the images \[2, 5\] padded by 'VALID'; it does not"),
    "whole numbers": (lambda: ops.conv(jnp.ones((4, 5, 6), int), jnp.ones((3, 3, 6, 4), int)),
        "x and kernel must be floating; got int32 and int32"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_named(name: str):
    wrong, message = MISUSE[name]
    with pytest.raises((ValueError, TypeError), match=rf"\A{message}\Z"):
        wrong()


@pytest.mark.parametrize("batch", [53, 96])  # the first leaves a part to fill
def test_a_large_batch_is_cut_in_parts(batch: int):
    x, kernel = numbers(batch, 40, 40, 3), numbers(3, 3, 3, 8)

    def both(x, kernel):
        out, pull = jax.vjp(partial(ops.conv, strides=2), x, kernel)
        return pull(jnp.cos(out))

    run = jax.jit(both)
    assert " while(" in run.lower(x, kernel).compile().as_text()
    geometry = make_geometry(x.shape, kernel.shape, 2, "SAME", 1)
    cotangent = jnp.cos(plain.forward(x, kernel, geometry))
    of_x, of_kernel = run(x, kernel)
    np.testing.assert_allclose(of_x, plain.to_input(cotangent, kernel, geometry), atol=1e-4)
    expected = plain.to_kernel(x, cotangent, geometry)
    np.testing.assert_allclose(of_kernel, expected, atol=1e-4 * float(jnp.abs(expected).max()))
