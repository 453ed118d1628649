"""Train the cells of a config's table, and write the table, at any time.

python -m experiments.compare --config=configs/taxonomy.py --workdir=runs/square --jobs=2

The config file's `get_table()` declares rows, columns and cells (attn_jax/studies/tables.py). Each
cell is one `experiments.train` a seed, in a folder of its own. Finished runs are kept, and one that
another process trains is left to it: the same command goes on another day, or beside itself on
another machine that sees the workdir. It writes compare.md, compare.json and report.html into the
workdir. With --table it trains nothing. What a run says is in a .txt beside its folder.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from experiments import cli
from experiments.cells import Failure, Watch, config_of, declared, describe_failures, train_all

if TYPE_CHECKING:
    from attn_jax.studies.outcomes import Outcome
    from attn_jax.studies.table_report import Report
    from attn_jax.studies.tables import Entry, Table

_SQUARE = "configs/taxonomy.py"

_CONFIG = flags.DEFINE_string(
    "config", None, f"A file of configs/ with a get_table(); by default the workdir's, or {_SQUARE}"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the runs.")
_SEEDS = flags.DEFINE_string(
    "seeds", None, "How many seeds, from 0, or which: 0,4. By default 3; with --table those there."
)
_ONLY = flags.DEFINE_list("only", [], "Train these alone: cells (row/column), rows or columns.")
_JOBS = flags.DEFINE_integer("jobs", 1, "How many runs at a time.", lower_bound=1)
_TABLE = flags.DEFINE_bool("table", False, "Print the table of what is there; train nothing.")
_EXTRA = flags.DEFINE_multi_string("set", None, "An override for all runs: --set=train.steps=100")


class Grid(NamedTuple):
    """A table, and the runs of its cells.

    Attributes:
      workdir: the folder of the runs.
      made_of: `config` and `set`, as the flags of these names.
      table: as declared.
      asked: the cells that are trained.
      seeds: of each cell.
      lines: folder -> flags of `experiments.train`.
      configs: folder -> the config that these make.
    """

    workdir: Path
    made_of: Mapping[str, Any]
    table: "Table"
    asked: Sequence["Entry"]
    seeds: Sequence[str]
    lines: Mapping[Path, list[str]]
    configs: Mapping[Path, Mapping[str, Any]]

    def outcome(self, cell: "Entry", seed: str) -> "Outcome":
        """How far the run of a cell is."""
        from attn_jax.studies.outcomes import outcome

        folder = cell.run(self.workdir, seed)
        return outcome(folder, self.configs[folder], cell.figure)

    def report(self) -> "Report":
        """The table with what is known of its cells now."""
        from attn_jax.studies.outcomes import CellFigures
        from attn_jax.studies.table_report import Report

        cells = {
            name: CellFigures(cell, {seed: self.outcome(cell, seed) for seed in self.seeds})
            for name, cell in self.table.cells.items()
        }
        return Report(self.table, cells, self.seeds)

    def write(self, **more: Any) -> str:
        """Write the table as it is now; its Markdown."""
        from attn_jax.studies.table_files import write

        with cli.writing(str(self.workdir)):
            return write(self.workdir, self.report(), self.made_of, **more)


def main() -> None:
    """Train what is not finished yet, and write the table."""
    from attn_jax.errors import UserError

    grid = _read_grid(Path(_WORKDIR.value))
    if _TABLE.value:
        if not grid.workdir.is_dir():
            raise UserError(f"--workdir={grid.workdir}: there is no such folder")
        print(grid.write(page=True), end="")
        return
    grid.write()
    failed = _train(grid)
    tested = _tested(grid) if grid.table.study == "square" and not failed else None
    print(grid.write(tested=tested, page=True), end="")
    if failed:
        total = len({cell.run(grid.workdir, s) for cell in grid.asked for s in grid.seeds})
        raise UserError(describe_failures(failed, total, "runs"))


def _read_grid(workdir: Path) -> Grid:
    """The declared table; whatever does not fit it, or the workdir, is refused."""
    from attn_jax.errors import as_user_errors
    from attn_jax.studies.table_files import kept
    from attn_jax.studies.tables import choose, read_table, seeds_there

    before = {"config": _SQUARE, **kept(workdir)}
    spec = _CONFIG.value or before["config"]
    extra = before.get("set", []) if _EXTRA.value is None else _EXTRA.value
    made_of = {"config": spec, "set": extra}
    if len(before) > 1:
        _check_same(workdir, {"set": extra, **before}, made_of)
    path, _, _ = spec.partition(":")
    seeds = _read_seeds("3" if _SEEDS.value is None else _SEEDS.value)
    with as_user_errors():
        returns = "a dict with title, figure and cells"
        table = read_table(declared(spec, "get_table", returns), path)
        asked = choose(table, _ONLY.value)
    if _TABLE.value and _SEEDS.value is None:
        seeds = seeds_there(table, workdir) or seeds
    lines = {
        cell.run(workdir, seed): _flags(path, cell, seed, extra)
        for seed in seeds
        for cell in table.cells.values()
    }
    configs = {folder: config_of(line) for folder, line in lines.items()}
    return Grid(workdir, made_of, table, asked, seeds, lines, configs)


# Fields that may differ between the machines that fill one table: a run is not held to it either.
_FREE = ("data.path=", "log.")


def _check_same(workdir: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    from attn_jax.errors import UserError

    def told(one: Mapping[str, Any]) -> str:
        return " ".join([one["config"], *(f"--set={each}" for each in one["set"])])

    def identity(one: Mapping[str, Any]) -> tuple[str, list[str]]:
        return Path(one["config"]).name, [each for each in one["set"] if not each.startswith(_FREE)]

    if identity(before) != identity(now):
        line = f"{workdir} holds the table of {told(before)}; got {told(now)}"
        raise UserError(f"{line}; give another --workdir")


def _read_seeds(text: str) -> list[str]:
    """The seeds of "3", a count, or of "0,4", or of "0", which is no count."""
    from attn_jax.errors import UserError

    given = text.removesuffix(",").split(",")
    if not all(map(str.isdecimal, given)) or len({*map(int, given)}) < len(given):
        got = f"different numbers, 0,4 say; got {text or 'nothing'}"
        raise UserError(f"--seeds must be a count, 3 say, or {got}")
    counted = "," not in text and int(text) > 0
    return [*map(str, range(int(text)) if counted else map(int, given))]


def _flags(path: str, cell: "Entry", seed: str, extra: Sequence[str]) -> list[str]:
    named = f"--config={path}:{cell.arg}" if cell.arg else f"--config={path}"
    overrides = [f"--config.{name}={value}" for name, value in cell.overrides.items()]
    return [named, *overrides, f"--config.seed={seed}", *(f"--config.{one}" for one in extra)]


def _train(grid: Grid) -> list[Failure]:
    """Train what is asked for, a seed after the other, so that whole ones are left behind."""
    runs = {cell.run(grid.workdir, s): (cell, s) for s in grid.seeds for cell in grid.asked}
    watch = Watch(partial(_passed, grid, runs), partial(_ended, grid, runs), quiet=True)
    failed = train_all({folder: grid.lines[folder] for folder in runs}, _JOBS.value, watch)
    return [one for one in failed if not _is_settled(grid.outcome(*runs[grid.workdir / one.name]))]


Runs = Mapping[Path, tuple["Entry", str]]


def _passed(grid: Grid, runs: Runs, folder: Path) -> str:
    """Why a run is not trained; "" if it is."""
    from attn_jax.studies.outcomes import failure_file

    found = grid.outcome(*runs[folder])
    if _is_settled(found):
        return found.words
    failure_file(folder).unlink(missing_ok=True)
    return ""


def _ended(grid: Grid, runs: Runs, folder: Path, failure: Failure | None) -> None:
    """Keep the line that a run failed with, say how it ended, and write the table."""
    from attn_jax.records import as_text, write_atomically
    from attn_jax.studies.outcomes import failure_file

    (cell, seed), path = runs[folder], failure_file(folder)
    # Another process may have come first, which refuses ours.
    if failure and not _is_settled(grid.outcome(cell, seed)):
        with cli.writing(str(grid.workdir)):
            write_atomically(path, f"{failure.last_line or 'no output'}\n")
    found = grid.outcome(cell, seed)
    figure = as_text(cell.figure, found.result[cell.figure]) if found.result else ""
    print(f"   {folder.name}: {found.words} {figure}".rstrip(), flush=True)
    grid.write()


def _is_settled(found: "Outcome") -> bool:
    """Whether a run is finished, or another process's."""
    from attn_jax.studies.outcomes import FINISHED, HELD

    return found.state in (FINISHED, HELD)


def _tested(grid: Grid) -> tuple[dict[str, Any], bytes] | None:
    """The square's runs on the same images; None if they were tested, or one is not finished."""
    from attn_jax.studies.compare import comparable, compare
    from attn_jax.studies.table_files import digests, kept, still_true

    report, workdir = grid.report(), grid.workdir
    cells, controls = comparable(report, {cell.row for cell in grid.asked}, workdir)
    names = [run.name for cell in cells for run in cell.runs]
    now = digests(report, workdir)
    of = {name: now[name] for name in names}
    before = still_true(kept(workdir).get("paired"), report, workdir)
    if of.items() <= before.get("of", {}).items():
        return None
    plain, png = compare(cells, controls)
    return {"of": of, **plain}, png


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
