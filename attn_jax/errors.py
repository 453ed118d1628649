"""Errors that a user can put right, and how a run can end early without a bug."""

import difflib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """Something the user can put right: one clear line, exit status 2."""


class Diverged(Exception):
    """A loss that is no number any more: one clear line, exit status 1."""


class Stopped(Exception):
    """A run that was told to stop and has saved its state: one clear line, exit status 143."""


@contextmanager
def as_user_errors() -> Iterator[None]:
    """Raise as UserError whatever data, names and parts refuse."""
    try:
        yield
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        raise UserError(str(error)) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


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


def check_name(what: str, name: str, valid: Iterable[str]) -> None:
    """Refuse an unknown name, listing the valid ones and the nearest.

    Raises:
      ValueError: if the name is not among the valid ones.

    >>> check_name("source", "nzp", ["npz", "tfds"])
    Traceback (most recent call last):
    ValueError: source must be one of npz, tfds; got 'nzp'; did you mean 'npz'?
    """
    valid = list(valid)
    if name not in valid:
        hint = f"; did you mean {nearest!r}?" if (nearest := nearest_name(name, valid)) else ""
        raise ValueError(
            f"{what} must be one of {', '.join(valid) or '(none)'}; got {name!r}{hint}"
        )


def nearest_name(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that is most like `name`; None if none is alike."""
    return next(iter(difflib.get_close_matches(str(name), list(valid), 1)), None)


def pick(table: Mapping[str, T], name: str, what: str) -> T:
    """table[name], or a ValueError that lists the valid names and the nearest.

    >>> pick({"adam": 1, "sgd": 2}, "adm", "optimizer.name")
    Traceback (most recent call last):
    ValueError: optimizer.name must be one of adam, sgd; got 'adm'; did you mean 'adam'?
    """
    check_name(what, name, table)
    return table[name]
