"""Records: files that a run leaves behind, and the units of the figures in them."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from attn_jax.errors import UserError

Row = dict[str, float]

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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a run.

    Raises:
      UserError: if it is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def read_metrics(path: Path, upto: float = float("inf")) -> list[Row]:
    """The rows of a metrics.jsonl with step <= upto; a line cut short by a kill is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if row["step"] <= upto:
            rows.append(row)
    return rows


def versions() -> dict[str, str]:
    """The packages and the devices that figures are made with."""
    import flax
    import jaxlib
    import optax

    packages = {"jax": jax, "jaxlib": jaxlib, "flax": flax, "optax": optax}
    made_with = {f"version/{name}": package.__version__ for name, package in packages.items()}
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return made_with | {"version/python": platform.python_version(), "device": device}
