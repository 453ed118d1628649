"""A run's folder: whether it is new, half done, finished, or another run's."""

import json
import re
from pathlib import Path
from typing import Any

from attn_jax.training.names import UserError
from attn_jax.training.writers import write_atomically

# What may differ when a run is taken up again: how long it goes on, and what it says meanwhile.
_MAY_CHANGE = re.compile(r"train\.steps|log\..*")


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}.

    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def as_json(config: Any) -> dict[str, Any]:
    """A ConfigDict as plain JSON data: tuples become lists."""
    return json.loads(json.dumps(config.to_dict()))


def check_workdir(workdir: Path, config: Any) -> None:
    """Refuse a folder that cannot be one, or that holds a run of another config.

    Raises:
      UserError: naming the path, or the fields that differ with both values.
    """
    try:
        above = [path for path in (workdir, *workdir.parents) if path.exists()]
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UserError(f"--workdir={workdir} cannot be a folder: {error.strerror}") from error
    if above and not above[0].is_dir():
        raise UserError(f"--workdir={workdir} cannot be a folder: {above[0]} is a file")
    there = workdir / "config.json"
    if not there.exists():
        return
    before, now = flatten(read_json(there)), flatten(as_json(config))
    differ = [
        f"{name}: {before.get(name)!r} there, {now.get(name)!r} now"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not _MAY_CHANGE.fullmatch(name)
    ]
    if differ:
        raise UserError(f"{workdir} holds a run of another config: {'; '.join(differ)}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a run.

    Raises:
      UserError: if it is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def write_config(workdir: Path, config: Any) -> None:
    """The config.json that a later command in this folder is held to."""
    write_atomically(workdir / "config.json", json.dumps(as_json(config), indent=2) + "\n")


def finished(workdir: Path, steps: int) -> bool:
    """Whether the run in this folder already has its result, at this many steps."""
    result = workdir / "result.json"
    return result.exists() and read_json(result).get("steps") == steps
