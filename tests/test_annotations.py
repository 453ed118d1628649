"""Annotations are checked in tests: of functions always, of a closure when it is first made."""

from collections.abc import Callable

import beartype
import jaxtyping
import pytest

from attn_jax.ops import affine_grid
from tests.annotations import _jaxtyped

checked = _jaxtyped(typechecker=beartype.beartype)


def make() -> Callable:
    @checked
    def doubled(x: int) -> int:
        return 2 * x

    return doubled


def test_a_closure_is_checked_when_it_is_first_made():
    first, again = make(), make()
    with pytest.raises(jaxtyping.TypeCheckError):
        first("a")
    assert again("a") == "aa"


def test_a_function_of_the_library_is_checked_at_every_call():
    for _ in range(2):
        with pytest.raises(jaxtyping.TypeCheckError):
            affine_grid("theta", (2, 2))
