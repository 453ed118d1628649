"""Counts of floating-point operations, of the matrix products and convolutions in a function."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Protocol, runtime_checkable

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


@runtime_checkable
class CountEquation(Protocol):
    """Counts the operations of one equation: its primitive's parameters, its inputs and output."""

    def __call__(self, equation: Any, /) -> int: ...


def flops(f: Callable, *args: Any) -> int:
    """Count the operations of one call: two for each product that is added.

    Those of matrix products and convolutions are counted, as often as loops of a known length run
    them, and of branches the largest; whatever else there is, such as sampling and activations, is
    not. Nothing is run.

    Args:
      f: a function of arrays.
      args: arrays, or their shapes.

    >>> import jax.numpy as jnp
    >>> flops(lambda a, b: jnp.tanh(a @ b), jnp.ones((2, 3)), jnp.ones((3, 5)))
    60
    """
    return _of_jaxpr(jax.make_jaxpr(f)(*args).jaxpr)


def _of_jaxpr(jaxpr: Jaxpr) -> int:
    return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name in _COUNTED:
        return 2 * _COUNTED[name](equation)
    inner = [_of_jaxpr(one) for one in _inner(params)]
    if name == "cond":
        return max(inner, default=0)
    return params.get("length", 1) * sum(inner) if name == "scan" else sum(inner)


def _inner(params: Mapping[str, Any]) -> Iterator[Jaxpr]:
    """The programs that an equation holds."""
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else [value]:
            if isinstance(one, ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, Jaxpr):
                yield one


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _of_product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    return prod(_shape(equation.outvars[0])) * prod(left[axis] for axis in contracted)


def _of_lax(equation: Any) -> int:
    """A convolution of lax: each number of the output is a sum over a window and its channels."""
    kernel = _shape(equation.invars[1])
    out_axis = equation.params["dimension_numbers"].rhs_spec[0]
    return prod(_shape(equation.outvars[0])) * prod(kernel) // kernel[out_axis]


def _of_forward(equation: Any) -> int:
    *window, _ = _shape(equation.invars[1])
    return prod(_shape(equation.outvars[0])) * prod(window)


def _of_input_gradient(equation: Any) -> int:
    *window, _ = _shape(equation.invars[1])
    return prod(_shape(equation.invars[0])) * prod(window)


def _of_kernel_gradient(equation: Any) -> int:
    *window, _ = _shape(equation.outvars[0])
    return prod(_shape(equation.invars[1])) * prod(window)


# primitive -> (equation) -> products that are added
_COUNTED: Mapping[str, CountEquation] = {
    "dot_general": _of_product,
    "conv_general_dilated": _of_lax,
    "attn_jax_conv_forward": _of_forward,
    "attn_jax_conv_to_input": _of_input_gradient,
    "attn_jax_conv_to_kernel": _of_kernel_gradient,
}
