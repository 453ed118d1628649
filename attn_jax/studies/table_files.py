"""The files of a table in its workdir: compare.json, compare.md, report.html and its pictures."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from attn_jax import lock
from attn_jax.errors import UserError
from attn_jax.records import read_json, versions, write_atomically, write_json
from attn_jax.studies.compare import paired_table
from attn_jax.studies.table_report import Paired, Report

_PATIENCE = 20.0  # seconds, while another process writes the table
_PICTURE = "compare.png"


def kept(workdir: Path) -> dict[str, Any]:
    """The table that a workdir holds, as plain data; {} if there is none.

    Raises:
      UserError: for the folder of a run, whose report would be lost, and a table that is damaged.
    """
    if (workdir / "config.json").exists():
        raise UserError(f"{workdir} holds a run, not a table of runs; give another --workdir")
    path = workdir / "compare.json"
    return read_json(path) if path.exists() else {}


def write(
    workdir: Path,
    report: Report,
    made_of: Mapping[str, Any],
    tested: tuple[Mapping[str, Any], bytes] | None = None,
    page: bool = False,
) -> str:
    """Write a table; one process at a time.

    Args:
      workdir: made if it is not there.
      report: what is known of its cells.
      made_of: plain data that is kept beside it: its config file and overrides.
      tested: what `compare` found, with `of` (folder -> digest of the run) beside it; None: what
        it found before, where the runs are the same ones.
      page: whether to write report.html and pictures too.

    Returns:
      The Markdown.

    Raises:
      UserError: if another process has been writing for 20 seconds.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with _alone(workdir):
        if tested:
            write_atomically(workdir / _PICTURE, tested[1])
        plain = tested[0] if tested else still_true(kept(workdir).get("paired"), report, workdir)
        if plain:
            picture = workdir / _PICTURE
            png = picture.read_bytes() if picture.exists() else None
            report = report._replace(paired=Paired(*paired_table(plain), png))
        values = {**made_of, **report.plain(), **({"paired": plain} if plain else {}), **versions()}
        write_json(workdir / "compare.json", values)
        text = report.markdown()
        write_atomically(workdir / "compare.md", text)
        if page:
            write_atomically(workdir / "report.html", report.page())
            if forest := report.forest():
                write_atomically(workdir / "forest.png", forest)
    return text


def still_true(plain: Any, report: Report, workdir: Path) -> dict[str, Any]:
    """The findings on the same images, if the runs are still those; {} otherwise."""
    of = plain.get("of") if isinstance(plain, dict) else None
    return plain if of and of.items() <= digests(report, workdir).items() else {}


def digests(report: Report, workdir: Path) -> dict[str, str]:
    """Folder of a finished run -> the digest of its result."""
    return {
        cell.entry.run(workdir, seed).name: one.result["digest"]
        for cell in report.cells.values()
        for seed, one in cell.outcomes.items()
        if one.result
    }


@contextmanager
def _alone(workdir: Path) -> Iterator[None]:
    """Hold the workdir, waiting while another process does."""
    last = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock.hold(workdir))
                break
            except UserError:
                if time.monotonic() > last:
                    raise
            time.sleep(0.05)
        yield
