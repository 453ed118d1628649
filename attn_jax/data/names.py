"""Names that a user gives, checked against a table."""

import difflib
from collections.abc import Iterable


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
        near = difflib.get_close_matches(str(name), valid, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{what} must be one of {', '.join(valid) or '(none)'}; got {name!r}{hint}"
        )
