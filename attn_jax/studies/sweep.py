"""The cells of a sweep, and the one table they make."""

import re
from pathlib import Path
from typing import Any

from attn_jax.records import is_fraction, read_sealed


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
    paths = [workdir / cell_name(cell) / "result.json" for cell in cells]
    results = [read_sealed(path) if path.exists() else {} for path in paths]
    tested = _tested(results)
    header = [*names, *(figure.removeprefix("test/") for figure in tested), "wall s"]
    rows = [header, ["---"] * len(header)]
    for cell, result in zip(cells, results, strict=True):
        figures = [_shown(result, figure) for figure in tested]
        wall = f"{result['wall_seconds']:.0f}" if result else "-"
        rows.append([*(str(cell.get(name, "")) for name in names), *figures, wall])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _tested(results: list[dict[str, Any]]) -> list[str]:
    """The names of the figures on test, each once, without the ends of its interval."""
    names = dict.fromkeys(name for result in results for name in result)
    return [n for n in names if n.startswith("test/") and not n.endswith(("_low", "_high"))]


def _shown(result: dict[str, Any], figure: str) -> str:
    if figure not in result:
        return "-"
    scale = 100 if is_fraction(figure) else 1
    names = (figure, f"{figure}_low", f"{figure}_high")
    value, *ends = (f"{scale * result[name]:.2f}" for name in names if name in result)
    return f"{value} [{', '.join(ends)}]" if ends else value
