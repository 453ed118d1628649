"""Annotations are checked: of every function, of a closure when it is made for the first time."""

import types
from collections.abc import Callable
from typing import Any

import jaxtyping
from jaxtyping import install_import_hook

_decorate = jaxtyping.jaxtyped
_met: set[types.CodeType] = set()


def _jaxtyped(*, typechecker: Any) -> Callable[[Any], Any]:
    """As jaxtyping's, which takes a millisecond for a closure whenever it is made."""

    def decorate(f: Any) -> Any:
        if isinstance(f, types.FunctionType) and "<locals>" in f.__qualname__:
            if f.__code__ in _met:
                return f
            _met.add(f.__code__)
        return _decorate(f, typechecker=typechecker)

    return decorate


def check_annotations() -> None:
    """Check those of attn_jax, which must not have been imported yet."""
    jaxtyping.jaxtyped = _jaxtyped
    # An int is a float, as in PEP 484; beartype's default is stricter than any type checker.
    install_import_hook(
        "attn_jax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    )
