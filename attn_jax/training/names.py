"""Names to parts, and the two ways a run can fail that are not a bug."""

from collections.abc import Mapping
from typing import TypeVar

from attn_jax.data.names import check_name

T = TypeVar("T")


class UserError(Exception):
    """Something the user can put right: one clear line, exit status 2."""


class Diverged(Exception):
    """A loss that is no number any more: one clear line, exit status 1."""


def pick(table: Mapping[str, T], name: str, what: str) -> T:
    """table[name], or a ValueError that lists the valid names and the nearest.

    >>> pick({"adam": 1, "sgd": 2}, "adm", "optimizer.name")
    Traceback (most recent call last):
    ValueError: optimizer.name must be one of adam, sgd; got 'adm'; did you mean 'adam'?
    """
    check_name(what, name, table)
    return table[name]
