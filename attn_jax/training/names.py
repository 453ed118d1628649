"""Names to parts, and the three ways a run can end early that are not a bug."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from attn_jax.data.names import check_name

T = TypeVar("T")


class UserError(Exception):
    """Something the user can put right: one clear line, exit status 2."""


class Diverged(Exception):
    """A loss that is no number any more: one clear line, exit status 1."""


class Stopped(Exception):
    """SIGTERM came: the state is saved, the run may be taken up again. Exit status 143."""


@contextmanager
def as_user_errors() -> Iterator[None]:
    """What data, names and parts refuse is the user's to put right."""
    try:
        yield
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        raise UserError(str(error)) from error


def check_installed(*packages: str) -> None:
    """Refuse to begin what could not be ended.

    Raises:
      ModuleNotFoundError: naming the first package that is not there, and how to get it.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(
                f"No module named {package!r}; pip install 'attn_jax[experiments]'"
            )


def pick(table: Mapping[str, T], name: str, what: str) -> T:
    """table[name], or a ValueError that lists the valid names and the nearest.

    >>> pick({"adam": 1, "sgd": 2}, "adm", "optimizer.name")
    Traceback (most recent call last):
    ValueError: optimizer.name must be one of adam, sgd; got 'adm'; did you mean 'adam'?
    """
    check_name(what, name, table)
    return table[name]
