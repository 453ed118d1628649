"""The convolution and its two gradients as JAX primitives, bilinear and each other's transposes.

forward(x, kernel)           [N, H, W, C], [kh, kw, C / groups, O] -> [N, h, w, O]
to_input(cotangent, kernel)  [N, h, w, O], [kh, kw, C / groups, O] -> [N, H, W, C]
to_kernel(x, cotangent)      [N, H, W, C], [N, h, w, O] -> [kh, kw, C / groups, O]

So derivatives of any order, in either mode, are made of the same three. They are lowered for a CPU
in forms that stay fast inside a loop, and as XLA's own convolutions elsewhere.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import jet
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from attn_jax.ops.convolution import batches, on_cpu, plain
from attn_jax.ops.convolution.geometry import Geometry
from attn_jax.ops.placement import varying_alike

Shape = tuple[int, ...]


def forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """The convolution [N, h, w, O] of x [N, H, W, C] with a kernel [kh, kw, C / groups, O]."""
    return forward_p.bind(*varying_alike(x, kernel), geometry=geometry)


def _forward_shape(x: Shape, kernel: Shape, geometry: Geometry) -> Shape:
    return x[0], *geometry.out, kernel[-1]


def _to_input_shape(cotangent: Shape, kernel: Shape, geometry: Geometry) -> Shape:
    return cotangent[0], *geometry.size, kernel[2] * geometry.groups


def _to_kernel_shape(x: Shape, cotangent: Shape, geometry: Geometry) -> Shape:
    return *geometry.kernel, x[-1] // geometry.groups, cotangent[-1]


def _aval(shape: Callable, x, y, *, geometry: Geometry):
    return x.update(shape=shape(x.shape, y.shape, geometry), weak_type=False)


def _filled(f: Callable, shape: Callable) -> Callable:
    """Give zeros where a size is 0, of which no form need know."""

    def either(x: Array, y: Array, *, geometry: Geometry) -> Array:
        if x.size and y.size:
            return f(x, y, geometry)
        return jnp.zeros(shape(x.shape, y.shape, geometry), x.dtype)

    return either


def _jet(f: Callable, primals, series, **params):
    """Compute Taylor coefficients, by JAX's own rules for its convolutions."""
    return jet.jet(functools.partial(f, **params), primals, series, factorial_scaled=False)


def _on_cpu(f: Callable, shape: Callable) -> Callable:
    """Lower for a CPU; the batch is not cut in parts where it may be split over devices."""
    by_one, by_all = (
        mlir.lower_fun(_filled(functools.partial(f, in_parts=parts), shape), multiple_results=False)
        for parts in (True, False)
    )

    def rule(ctx: mlir.LoweringRuleContext, *args, **params):
        devices = getattr(ctx.module_context.axis_context, "num_devices", 1)  # a shard_map's: 1
        return (by_all if devices > 1 else by_one)(ctx, *args, **params)

    return rule


def _primitive(name: str, shape: Callable, batcher: Callable) -> Primitive:
    primitive = Primitive(f"attn_jax_conv_{name}")
    primitive.def_abstract_eval(functools.partial(_aval, shape))
    primitive.def_impl(jax.jit(primitive.bind, static_argnames="geometry"))
    elsewhere = _filled(getattr(plain, name), shape)
    mlir.register_lowering(primitive, mlir.lower_fun(elsewhere, multiple_results=False))
    mlir.register_lowering(primitive, _on_cpu(getattr(on_cpu, name), shape), platform="cpu")
    batching.primitive_batchers[primitive] = functools.partial(batcher, primitive.bind)
    jet.jet_rules[primitive] = functools.partial(_jet, elsewhere)
    return primitive


forward_p = _primitive("forward", _forward_shape, batches.forward)
to_input_p = _primitive("to_input", _to_input_shape, batches.to_input)
to_kernel_p = _primitive("to_kernel", _to_kernel_shape, batches.to_kernel)

# The transposes of each, by its first argument and by its second.
ad.defbilinear(
    forward_p,
    lambda g, _, kernel, **geometry: to_input_p.bind(g, kernel, **geometry),
    lambda g, x, _, **geometry: to_kernel_p.bind(x, g, **geometry),
)
ad.defbilinear(
    to_input_p,
    lambda g, _, kernel, **geometry: forward_p.bind(g, kernel, **geometry),
    lambda g, cotangent, _, **geometry: to_kernel_p.bind(g, cotangent, **geometry),
)
ad.defbilinear(
    to_kernel_p,
    lambda g, _, cotangent, **geometry: to_input_p.bind(cotangent, g, **geometry),
    lambda g, x, _, **geometry: forward_p.bind(x, g, **geometry),
)
