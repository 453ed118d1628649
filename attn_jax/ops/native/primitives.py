"""The sampler as JAX primitives: what they compute natively and in XLA, and their derivatives.

sample     out = S(where) image + (1 - S(where) 1) fill
tangent    sample's derivative along given tangents, in XLA; linear in these
cotangents tangent's transpose, native

So reverse mode is native, forward mode and second derivatives go through the formula in XLA. All
take image [*b, H, W, C], where [*b, *n, 2] or [*b, 2, 3], fill [*b, C], and give [*b, *n, C]; an
axis of the batch is 1 for an argument that is not mapped. Nothing is reshaped on the way to the
kernels: XLA would copy where C is 1.
"""

import functools
import math
from collections.abc import Callable, Sequence
from itertools import compress

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from attn_jax.ops.grids import axis_coordinates
from attn_jax.ops.native import formula, library
from attn_jax.ops.native.formula import Spec

_CODES = {"zeros": 0, "constant": 0, "border": 1, "reflection": 2, "wrap": 3}


def sample(image: Array, where: Array, fill: Array, spec: Spec) -> Array:
    """`formula.sample`, native where it is lowered for a CPU."""
    return sample_p.bind(image, where, fill, spec=spec)


def _ranks(spec: Spec) -> tuple[int, int, int]:
    """The number of axes that one example's image, where and fill have."""
    return 3, (spec.axes + 1 if spec.size is None else 2), 1


def _batch(args: Sequence, ranks: Sequence[int]) -> tuple[int, ...]:
    return jnp.broadcast_shapes(
        *(x.shape[: len(x.shape) - r] for x, r in zip(args, ranks, strict=True))
    )


def _out_shape(args: Sequence, ranks: Sequence[int], spec: Spec) -> tuple[int, ...]:
    image, where = args[:2]
    points = where.shape[-1 - spec.axes : -1] if spec.size is None else spec.size
    return (*_batch(args, ranks), *points, image.shape[-1])


def _over_batch(one: Callable, args: Sequence[Array], ranks: Sequence[int]) -> Array | list[Array]:
    """one(*args) of every example, with the batch's axes in front."""
    batch = _batch(args, ranks)
    whole = [
        jnp.broadcast_to(x, batch + x.shape[x.ndim - r :]) for x, r in zip(args, ranks, strict=True)
    ]
    flat = [x.reshape(-1, *x.shape[len(batch) :]) for x in whole]
    return jax.tree.map(lambda y: y.reshape(*batch, *y.shape[1:]), jax.vmap(one)(*flat))


def _moving(primals: Sequence[Array], wrt: Sequence[bool], spec: Spec) -> tuple[Callable, tuple]:
    """The formula as a function of those arguments alone that are differentiated."""

    def f(*moved: Array) -> Array:
        left = iter(moved)
        return formula.sample(
            *(next(left) if w else p for p, w in zip(primals, wrt, strict=True)), spec
        )

    return f, tuple(compress(primals, wrt))


# In XLA.


def _sample_xla(*args: Array, spec: Spec) -> Array:
    return _over_batch(lambda *one: formula.sample(*one, spec), args, _ranks(spec))


def _tangent_xla(*args: Array, spec: Spec, wrt: tuple[bool, ...]) -> Array:
    def one(*args: Array) -> Array:
        f, moving = _moving(args[:3], wrt, spec)
        return jax.jvp(f, moving, args[3:])[1]

    return _over_batch(one, args, _tangent_ranks(spec, wrt))


def _cotangents_xla(*args: Array, spec: Spec, wrt: tuple[bool, ...]) -> list[Array]:
    def one(*args: Array) -> list[Array]:
        f, moving = _moving(args[:3], wrt, spec)
        return list(jax.vjp(f, *moving)[1](args[3]))

    return _over_batch(one, args, _cotangent_ranks(spec))


def _tangent_ranks(spec: Spec, wrt: Sequence[bool]) -> tuple[int, ...]:
    return (*_ranks(spec), *compress(_ranks(spec), wrt))


def _cotangent_ranks(spec: Spec) -> tuple[int, ...]:
    return (*_ranks(spec), spec.axes + 1)


# Natively.


def _axes(spec: Spec, dtype) -> tuple[Array, Array]:
    """The coordinates of an affine grid's columns and rows."""
    if spec.size is None:
        return jnp.zeros(0, dtype), jnp.zeros(0, dtype)
    height, width = (axis_coordinates(n, spec.align_corners, dtype=dtype) for n in spec.size)
    return width, height


def _call(target: str, results, batch: tuple[int, ...], *args: Array, spec: Spec):
    return jax.ffi.ffi_call(library.target(target), results)(
        *args,
        *_axes(spec, args[0].dtype),
        batch=np.int64(len(batch)),
        padding=np.int64(_CODES[spec.padding]),
        align=spec.align_corners,
    )


def _fits(image: Array) -> bool:
    return math.prod(image.shape[-3:]) < 2**31  # the kernels count pixels in int32


def _sample_native(*args: Array, spec: Spec) -> Array:
    if not _fits(args[0]):
        return _sample_xla(*args, spec=spec)
    batch = _batch(args, _ranks(spec))
    result = jax.ShapeDtypeStruct(_out_shape(args, _ranks(spec), spec), args[0].dtype)
    return _call("Sample", result, batch, *args, spec=spec)


def _cotangents_native(*args: Array, spec: Spec, wrt: tuple[bool, ...]) -> list[Array]:
    *primals, g = args
    if not _fits(args[0]):
        return _cotangents_xla(*args, spec=spec, wrt=wrt)
    ranks = _cotangent_ranks(spec)
    batch = _batch(args, ranks)
    g = jnp.broadcast_to(g, batch + g.shape[g.ndim - ranks[3] :])
    # What is not wanted is asked for without elements.
    shapes = [
        x.shape[x.ndim - r :] if w else (0,) * r
        for x, r, w in zip(primals, ranks[:3], wrt, strict=True)
    ]
    results = [jax.ShapeDtypeStruct(batch + shape, g.dtype) for shape in shapes]
    out = _call("Gradients", results, batch, *primals, g, spec=spec)
    return list(compress(out, wrt))


# Rules.


def _sample_aval(*avals, spec: Spec):
    return avals[0].update(shape=_out_shape(avals, _ranks(spec), spec))


def _tangent_aval(*avals, spec: Spec, wrt: tuple[bool, ...]):
    return avals[0].update(shape=_out_shape(avals, _tangent_ranks(spec, wrt), spec))


def _cotangents_aval(*avals, spec: Spec, wrt: tuple[bool, ...]):
    ranks = _cotangent_ranks(spec)
    batch = _batch(avals, ranks)
    shapes = [x.shape[len(x.shape) - r :] for x, r in zip(avals, ranks, strict=True)]
    return [avals[0].update(shape=batch + shape) for shape in compress(shapes, wrt)]


def _sample_jvp(primals, tangents, *, spec: Spec):
    wrt = tuple(not isinstance(t, ad.Zero) for t in tangents)
    given = list(compress(tangents, wrt))
    out = sample_p.bind(*primals, spec=spec)
    return out, tangent_p.bind(*primals, *given, spec=spec, wrt=wrt)


def _tangent_transpose(g, *args, spec: Spec, wrt: tuple[bool, ...]):
    linear = [x.aval for x in args[3:]]
    if isinstance(g, ad.Zero):
        return [None] * 3 + [ad.Zero(aval) for aval in linear]
    out = cotangents_p.bind(*args[:3], g, spec=spec, wrt=wrt)
    return [None] * 3 + [_sum_to(y, aval.shape) for y, aval in zip(out, linear, strict=True)]


def _sum_to(y: Array, shape: tuple[int, ...]) -> Array:
    """Over the axes along which an argument was not mapped."""
    axes = tuple(d for d, (n, m) in enumerate(zip(y.shape, shape, strict=True)) if n != m)
    return y.sum(axes, keepdims=True) if axes else y


def _jvp_in_xla(primitive: Primitive, f: Callable, primals, tangents, **params):
    """The derivative of a derivative: of the formula, by JAX."""
    whole = tuple(ad.instantiate_zeros(t) for t in tangents)
    out = primitive.bind(*primals, **params)
    return out, jax.jvp(functools.partial(f, **params), tuple(primals), whole)[1]


def _batched(primitive: Primitive, args, axes, **params):
    args = [
        x[None] if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(args, axes, strict=True)
    ]
    out = primitive.bind(*args, **params)
    return (out, [0] * len(out)) if primitive.multiple_results else (out, 0)


def _primitive(name: str, aval: Callable, xla: Callable, native: Callable | None) -> Primitive:
    primitive = Primitive(name)
    primitive.multiple_results = xla is _cotangents_xla
    primitive.def_abstract_eval(aval)
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("spec", "wrt")))
    batching.primitive_batchers[primitive] = functools.partial(_batched, primitive)
    several = primitive.multiple_results
    mlir.register_lowering(primitive, mlir.lower_fun(xla, several))
    if native:
        mlir.register_lowering(primitive, mlir.lower_fun(native, several), platform="cpu")
    return primitive


sample_p = _primitive("attn_jax_sample", _sample_aval, _sample_xla, _sample_native)
tangent_p = _primitive("attn_jax_sample_tangent", _tangent_aval, _tangent_xla, None)
cotangents_p = _primitive(
    "attn_jax_sample_cotangents", _cotangents_aval, _cotangents_xla, _cotangents_native
)

ad.primitive_jvps[sample_p] = _sample_jvp
ad.primitive_jvps[tangent_p] = functools.partial(_jvp_in_xla, tangent_p, _tangent_xla)
ad.primitive_jvps[cotangents_p] = functools.partial(_jvp_in_xla, cotangents_p, _cotangents_xla)
ad.primitive_transposes[tangent_p] = _tangent_transpose
