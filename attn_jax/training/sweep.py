"""The cells of a sweep, and the one table they make."""

import re
from pathlib import Path
from typing import Any

from attn_jax.training.workdir import read_json

_FIGURES = ("test/error_mean", "test/error_m10", "test/error_random", "test/error_center")


def cell_name(cell: dict[str, Any]) -> str:
    """A folder name that says what the cell changes.

    >>> cell_name({"seed": 1, "train.rollouts": 4})
    'seed=1,train.rollouts=4'
    """
    name = ",".join(f"{key}={value}" for key, value in cell.items()) or "base"
    return re.sub(r"[^\w.=,+-]+", "_", name)


def table(workdir: Path, cells: list[dict[str, Any]]) -> str:
    """A Markdown table: a row a cell, its overrides and its figures in percent; - if unfinished."""
    names = sorted({name for cell in cells for name in cell})
    header = [*names, *(figure.removeprefix("test/") for figure in _FIGURES), "wall s"]
    rows = [header, ["---"] * len(header)]
    for cell in cells:
        path = workdir / cell_name(cell) / "result.json"
        result = read_json(path) if path.exists() else {}
        figures = [_shown(result, figure) for figure in _FIGURES]
        wall = f"{result['wall_seconds']:.0f}" if result else "-"
        rows.append([*(str(cell.get(name, "")) for name in names), *figures, wall])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _shown(result: dict[str, Any], figure: str) -> str:
    if figure not in result:
        return "-"
    return f"{result[figure]:.2f} [{result[figure + '_low']:.2f}, {result[figure + '_high']:.2f}]"
