"""Run a config's grid.

python -m experiments.sweep --config=configs/ram_mnist.py --workdir=runs/sweep

The config file's `get_hyper()` gives the cells, each a dict of overrides such as {"seed": 1}.
Each cell is one `experiments.train` in a folder of its own; finished cells are kept.
"""

from pathlib import Path
from typing import Any

from absl import flags

from experiments import cli
from experiments.cells import declared, describe_failures, train_all

_CONFIG = flags.DEFINE_string("config", None, "A file of configs/ with a get_hyper().")
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the cells.")
_EXTRA = flags.DEFINE_multi_string("set", [], "An override for all cells: --set=train.steps=100")
_JOBS = flags.DEFINE_integer("jobs", 1, "How many cells at a time.", lower_bound=1)


def main() -> None:
    """Run what is not finished yet, then print one table."""
    from attn_jax.errors import UserError
    from attn_jax.records import write_atomically
    from attn_jax.studies.sweep import cell_name, table

    cells = list(declared(_CONFIG.value, "get_hyper", "a list of overrides, a dict a cell"))
    workdir = Path(_WORKDIR.value)
    extra = [f"--config.{one}" for one in _EXTRA.value]
    failed = train_all(
        {workdir / cell_name(cell): _flags(cell, extra) for cell in cells}, _JOBS.value
    )
    text = table(workdir, cells)
    with cli.writing(str(workdir)):
        workdir.mkdir(parents=True, exist_ok=True)
        write_atomically(workdir / "sweep.md", text)
    print(text, end="")
    if failed:
        raise UserError(describe_failures(failed, len(cells), "cells"))


def _flags(cell: dict[str, Any], extra: list[str]) -> list[str]:
    changed = [f"--config.{name}={value}" for name, value in cell.items()]
    return [f"--config={_CONFIG.value}", *changed, *extra]


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    cli.start(main)
