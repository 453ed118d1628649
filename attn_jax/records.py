"""Records: files that a run leaves behind, and the units of the figures in them."""

import hashlib
import json
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from attn_jax.errors import UserError

Row = dict[str, float]
_LEVELS = 20  # of a JSON file of a run; its own have three
_logger = logging.getLogger("attn_jax")

# A figure with one of these among its words is a fraction, 0 to 1: in metrics.jsonl, in result.json
# and in all code. Only what a person reads shows it in percent.
_FRACTIONS = ("error", "accuracy", "exact")


def is_fraction(figure: str) -> bool:
    """Whether a figure is a fraction, by its name.

    >>> is_fraction("test/error_mean_low"), is_fraction("train/loss")
    (True, False)
    """
    return not {*figure.rpartition("/")[2].split("_")}.isdisjoint(_FRACTIONS)


def as_text(figure: str, value: float) -> str:
    """A figure for a reader: percent if it is a fraction.

    >>> as_text("test/error_mean", 0.04), as_text("train/loss", 0.25)
    ('4.00 %', '0.25')
    """
    return f"{100 * value:.2f} %" if is_fraction(figure) else f"{value:.3g}"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise as UserError what keeps the files of a run from being written."""
    try:
        yield
    except OSError as error:
        raise UserError(f"could not write to {folder}: {error.strerror or error}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write the whole of `content`, or nothing: beside first, then renamed into place."""
    beside = path.with_name(path.name + ".partial")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object whole, or nothing."""
    write_atomically(path, json.dumps(values, indent=2) + "\n")


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object with a digest of the rest in it, which `read_sealed` compares."""
    write_json(path, seal(values))


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add a digest of the rest under "digest", in the place of an earlier one."""
    rest = {name: value for name, value in values.items() if name != "digest"}
    content = json.dumps(rest, sort_keys=True)
    return {**rest, "digest": hashlib.sha256(content.encode()).hexdigest()}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a run.

    Raises:
      UserError: if it is not there, damaged, no object, or nested too deeply.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except RecursionError as error:
        raise UserError(f"{path} cannot be read: it is nested too deeply") from error
    if not isinstance(values, dict):
        got = json.dumps(values)[:40]
        raise UserError(f"{path} cannot be read: expected a JSON object; got {got}")
    if _is_deep(values):
        raise UserError(f"{path} cannot be read: it is nested more than {_LEVELS} levels deep")
    return values


def read_sealed(path: Path) -> dict[str, Any]:
    """A JSON object that `write_sealed` wrote.

    Raises:
      UserError: if it cannot be read, or is not as it was written.
    """
    values = read_json(path)
    if seal(values) != values:
        raise UserError(f"{path} cannot be read: its digest differs")
    return values


def _is_deep(values: Any) -> bool:
    level = [values]
    for _ in range(_LEVELS):
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for some in inner for one in some if isinstance(one, dict | list)]
    return bool(level)


class Metrics:
    """A file such as metrics.jsonl: a line for each row, numbers only."""

    def __init__(self, path: Path, step: int):
        """Open for appending, cut back to `step`."""
        rows = read_metrics(path, step)
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Row) -> None:
        """Append a row."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path, upto: float = float("inf")) -> list[Row]:
    """The rows of a metrics.jsonl with step <= upto.

    A line that is damaged is left out, with one warning for all of them; the end of the file that
    was cut short by a kill is left out without.
    """
    *lines, cut = path.read_bytes().split(b"\n") if path.exists() else [b""]
    rows = [_row(line) for line in lines]
    if damaged := [i for i, row in enumerate(rows, start=1) if row is None]:
        which = f"line {damaged[0]}" if len(damaged) == 1 else f"{len(damaged)} lines"
        _logger.warning("%s of %s cannot be read; going on without", which, path)
    return [row for row in (*rows, _row(cut)) if row is not None and row["step"] <= upto]


def _row(line: bytes) -> Row | None:
    """The figures of a line; None if it is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(row, dict) and "step" in row and all(map(_is_number, row.values()))
    return row if whole else None


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def versions() -> dict[str, str]:
    """The packages and the devices that figures are made with."""
    import flax
    import jaxlib
    import optax

    packages = {"jax": jax, "jaxlib": jaxlib, "flax": flax, "optax": optax}
    made_with = {f"version/{name}": package.__version__ for name, package in packages.items()}
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return made_with | {"version/python": platform.python_version(), "device": device}
