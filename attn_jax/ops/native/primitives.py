"""The sampler as JAX primitives: their native and XLA implementations, and their derivatives.

sample     out = S(where) image + (1 - S(where) 1) fill
tangent    the derivative of sample along given tangents, in XLA; linear in the tangents
cotangents the transpose of tangent, native

Reverse mode is native; forward mode and second derivatives go through the formula in XLA. All take
image [*b, H, W, C], where [*b, *n, 2] or [*b, 2, 3], fill [*b, C], and give [*b, *n, C]; an axis of
the batch is 1 for an argument that is not mapped. No array is reshaped on the way to the kernels:
XLA would copy it where C is 1.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import compress

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from attn_jax.ops.grids import axis_coordinates
from attn_jax.ops.native import formula, library
from attn_jax.ops.native.formula import Spec
from attn_jax.ops.placement import is_explicit, varying_alike

_CODES = {"zeros": 0, "constant": 0, "border": 1, "reflection": 2, "wrap": 3}
Shape = tuple[int, ...]


def sample(image: Array, where: Array, fill: Array, spec: Spec) -> Array:
    """Compute `formula.sample`, natively where it is lowered for one CPU."""
    if is_explicit(image, where, fill):
        return formula.sample(image, where, fill, spec)
    return sample_p.bind(*varying_alike(image, where, fill), spec=spec)


def _ranks(spec: Spec) -> tuple[int, int, int]:
    """The ranks of one example's image, where and fill."""
    return 3, (spec.axes + 1 if spec.size is None else 2), 1


def _batch(args: Sequence, spec: Spec) -> Shape:
    return jnp.broadcast_shapes(
        *(x.shape[: len(x.shape) - r] for x, r in zip(args, _ranks(spec), strict=True))
    )


def _out_shape(args: Sequence, spec: Spec) -> Shape:
    image, where = args[:2]
    points = where.shape[-1 - spec.axes : -1] if spec.size is None else spec.size
    return (*_batch(args, spec), *points, image.shape[-1])


def _gradient_shapes(args: Sequence, spec: Spec, summed: Shape) -> list[Shape]:
    """The shapes of the gradients of image, where and fill.

    Each has the whole batch; only the image's is 1 along the axes `summed`.

    Args:
      args: image, where, fill, and a cotangent of the output.
      spec: the sampler's static arguments.
      summed: axes of the batch, counted from its end: -1 is the last.
    """
    *primals, g = args
    batch = jnp.broadcast_shapes(_batch(primals, spec), g.shape[: len(g.shape) - spec.axes - 1])
    of_image = [1 if d - len(batch) in summed else n for d, n in enumerate(batch)]
    return [
        (*b, *x.shape[len(x.shape) - r :])
        for b, x, r in zip((of_image, batch, batch), primals, _ranks(spec), strict=True)
    ]


# Implementations in XLA.


def _sample_xla(*args: Array, spec: Spec) -> Array:
    """Map the formula over the batch, without copies of arguments that are not mapped."""
    batch = _batch(args, spec)
    f = functools.partial(formula.sample, spec=spec)
    for d in reversed(range(len(batch))):
        f = jax.vmap(f, [0 if x.shape[d] == batch[d] else None for x in args], axis_size=batch[d])
    shared = [tuple(d for d, n in enumerate(batch) if x.shape[d] != n) for x in args]
    return f(*map(jnp.squeeze, args, shared))


def _of_differentiated(
    primals: Sequence[Array], wrt: Sequence[bool], spec: Spec
) -> tuple[Callable, tuple]:
    """The formula as a function of the differentiated arguments alone, and these arguments."""

    def f(*moved: Array) -> Array:
        left = iter(moved)
        return _sample_xla(
            *(next(left) if w else p for p, w in zip(primals, wrt, strict=True)), spec=spec
        )

    return f, tuple(compress(primals, wrt))


def _tangent_xla(*args: Array, spec: Spec, wrt: tuple[bool, ...]) -> Array:
    f, moving = _of_differentiated(args[:3], wrt, spec)
    alike = [jnp.broadcast_arrays(p, t) for p, t in zip(moving, args[3:], strict=True)]
    return jax.jvp(f, *map(tuple, zip(*alike, strict=True)))[1]


def _cotangents_xla(*args: Array, spec: Spec, wrt: tuple[bool, ...], summed: Shape) -> list[Array]:
    *primals, g = args
    shapes = _gradient_shapes(args, spec, summed)
    f, moving = _of_differentiated(list(map(jnp.broadcast_to, primals, shapes)), wrt, spec)
    out, pull = jax.vjp(f, *moving)
    return list(pull(jnp.broadcast_to(g, out.shape)))


# Native implementations.


def _axes(spec: Spec, dtype) -> tuple[Array, Array]:
    """The coordinates of an affine grid's columns and rows."""
    if spec.size is None:
        return jnp.zeros(0, dtype), jnp.zeros(0, dtype)
    height, width = (axis_coordinates(n, spec.align_corners, dtype=dtype) for n in spec.size)
    return width, height


def _call(target: str, results, batch: int, *args: Array, spec: Spec):
    return jax.ffi.ffi_call(library.target(target), results)(
        *args,
        *_axes(spec, args[0].dtype),
        batch=np.int64(batch),
        padding=np.int64(_CODES[spec.padding]),
        align=spec.align_corners,
    )


def _fits(image: Array) -> bool:
    """Whether the kernels can count the pixels, in int32."""
    height, width, channels = image.shape[-3:]
    return height * width * (channels + 1) < 2**31


def _sample_native(*args: Array, spec: Spec) -> Array:
    if not _fits(args[0]):
        return _sample_xla(*args, spec=spec)
    result = jax.ShapeDtypeStruct(_out_shape(args, spec), args[0].dtype)
    return _call("Sample", result, len(_batch(args, spec)), *args, spec=spec)


def _cotangents_native(
    *args: Array, spec: Spec, wrt: tuple[bool, ...], summed: Shape
) -> list[Array]:
    *primals, g = args
    if not _fits(args[0]):
        return _cotangents_xla(*args, spec=spec, wrt=wrt, summed=summed)
    shapes, ranks = _gradient_shapes(args, spec, summed), _ranks(spec)
    batch = shapes[1][: len(shapes[1]) - ranks[1]]
    g = jnp.broadcast_to(g, batch + g.shape[g.ndim - spec.axes - 1 :])
    # A gradient that is not wanted is requested with no elements.
    shapes = [
        shape if w else batch + (0,) * r for shape, r, w in zip(shapes, ranks, wrt, strict=True)
    ]
    results = [jax.ShapeDtypeStruct(shape, g.dtype) for shape in shapes]
    out = _call("Gradients", results, len(batch), *primals, g, spec=spec)
    return list(compress(out, wrt))


# Rules of differentiation, batching and lowering.


def _sample_aval(*avals, spec: Spec):
    return avals[0].update(shape=_out_shape(avals, spec))


def _tangent_aval(*avals, spec: Spec, wrt: tuple[bool, ...]):
    primals, tangents = list(avals[:3]), iter(avals[3:])
    of_tangents = [next(tangents) if w else p for p, w in zip(primals, wrt, strict=True)]
    batch = jnp.broadcast_shapes(_batch(primals, spec), _batch(of_tangents, spec))
    shape = _out_shape(primals, spec)
    return avals[0].update(shape=batch + shape[len(shape) - spec.axes - 1 :])


def _cotangents_aval(*avals, spec: Spec, wrt: tuple[bool, ...], summed: Shape):
    shapes = _gradient_shapes(avals, spec, summed)
    return [avals[0].update(shape=shape) for shape in compress(shapes, wrt)]


def _sample_jvp(primals, tangents, *, spec: Spec):
    wrt = tuple(not isinstance(t, ad.Zero) for t in tangents)
    given = list(compress(tangents, wrt))
    out = sample_p.bind(*primals, spec=spec)
    return out, tangent_p.bind(*primals, *given, spec=spec, wrt=wrt)


def _pull_back(g, primals: Sequence, wrt: tuple[bool, ...], avals, spec: Spec) -> list:
    """Compute the cotangents of linear arguments, whose shapes `avals` holds."""
    if isinstance(g, ad.Zero):
        return [ad.Zero(aval) for aval in avals]
    axes = g.ndim - spec.axes - 1
    summed = ()
    if wrt[0]:  # the image's gradient is large: where it is not mapped, the kernel sums
        summed = tuple(d - axes for d in range(axes) if avals[0].shape[d] != g.shape[d])
    out = cotangents_p.bind(*primals, g, spec=spec, wrt=wrt, summed=summed)
    return [_sum_to(y, aval.shape) for y, aval in zip(out, avals, strict=True)]


def _tangent_transpose(g, *args, spec: Spec, wrt: tuple[bool, ...]):
    return [None] * 3 + _pull_back(g, args[:3], wrt, [x.aval for x in args[3:]], spec)


def _sample_transpose(g, *args, spec: Spec):
    """Transpose by image and fill, in which the result is jointly linear."""
    wrt = tuple(map(ad.is_undefined_primal, args))
    avals = [x.aval for x in compress(args, wrt)]
    primals = [
        jnp.zeros(x.aval.shape, x.aval.dtype) if w else x for x, w in zip(args, wrt, strict=True)
    ]
    out = iter(_pull_back(g, primals, wrt, avals, spec))
    return [next(out) if w else None for w in wrt]


def _sum_to(y: Array, shape: Shape) -> Array:
    """Sum over the axes along which an argument was not mapped."""
    axes = tuple(d for d, (n, m) in enumerate(zip(y.shape, shape, strict=True)) if n != m)
    return y.sum(axes, keepdims=True) if axes else y


def _jvp_in_xla(primitive: Primitive, f: Callable, primals, tangents, **params):
    """Differentiate a derivative, by JAX's own rules for the formula."""
    whole = tuple(ad.instantiate_zeros(t) for t in tangents)
    out = primitive.bind(*primals, **params)
    return out, jax.jvp(functools.partial(f, **params), tuple(primals), whole)[1]


def _jet_in_xla(f: Callable, primals, series, **params):
    """Compute Taylor coefficients, by JAX's own rules for the formula."""
    return jet.jet(functools.partial(f, **params), primals, series, factorial_scaled=False)


def _batched(primitive: Primitive, args, axes, **params):
    args = [
        x[None] if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(args, axes, strict=True)
    ]
    out = primitive.bind(*args, **params)
    return (out, [0] * len(out)) if primitive.multiple_results else (out, 0)


def _on_cpu(several: bool, xla: Callable, native: Callable) -> Callable:
    """Lower natively, unless XLA is to share the work among devices or to export the program."""
    by_xla, by_native = mlir.lower_fun(xla, several), mlir.lower_fun(native, several)

    def rule(ctx: mlir.LoweringRuleContext, *args, **params):
        module = ctx.module_context
        devices = getattr(module.axis_context, "num_devices", 1)  # of a shard_map: each its own
        in_xla = devices > 1 or module.lowering_parameters.for_export
        return (by_xla if in_xla else by_native)(ctx, *args, **params)

    return rule


def _primitive(name: str, aval: Callable, xla: Callable, native: Callable | None) -> Primitive:
    primitive = Primitive(name)
    several = primitive.multiple_results = xla is _cotangents_xla
    primitive.def_abstract_eval(aval)
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("spec", "wrt", "summed")))
    batching.primitive_batchers[primitive] = functools.partial(_batched, primitive)
    mlir.register_lowering(primitive, mlir.lower_fun(xla, several))
    if native:
        mlir.register_lowering(primitive, _on_cpu(several, xla, native), platform="cpu")
    return primitive


sample_p = _primitive("attn_jax_sample", _sample_aval, _sample_xla, _sample_native)
tangent_p = _primitive("attn_jax_sample_tangent", _tangent_aval, _tangent_xla, None)
cotangents_p = _primitive(
    "attn_jax_sample_cotangents", _cotangents_aval, _cotangents_xla, _cotangents_native
)

ad.primitive_jvps[sample_p] = _sample_jvp
ad.primitive_jvps[tangent_p] = functools.partial(_jvp_in_xla, tangent_p, _tangent_xla)
ad.primitive_jvps[cotangents_p] = functools.partial(_jvp_in_xla, cotangents_p, _cotangents_xla)
ad.primitive_transposes[sample_p] = _sample_transpose
ad.primitive_transposes[tangent_p] = _tangent_transpose

for _primitive_, _formula in (
    (sample_p, _sample_xla),
    (tangent_p, _tangent_xla),
    (cotangents_p, _cotangents_xla),
):
    jet.jet_rules[_primitive_] = functools.partial(_jet_in_xla, _formula)
