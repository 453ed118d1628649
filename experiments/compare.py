"""Train the square's mechanisms and their controls, and compare them on the same images.

python -m experiments.compare --workdir=runs/square --seeds=0 --jobs=2

Finished runs are kept. It writes compare.md, compare.json and compare.png into the workdir.
"""

from pathlib import Path

from absl import flags

from experiments import cli
from experiments.cells import describe_failures, train_all

_CONFIG = "configs/taxonomy.py"

_WORKDIR = flags.DEFINE_string("workdir", None, "The folder of the runs.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "One run of each cell a seed.")
_JOBS = flags.DEFINE_integer("jobs", 1, "How many runs at a time.", lower_bound=1)
_EXTRA = flags.DEFINE_multi_string("set", [], "An override for all runs: --set=train.steps=100")


def main() -> None:
    """Train what is not finished yet, then test all of it."""
    from attn_jax.errors import UserError
    from attn_jax.records import write_atomically, write_json
    from attn_jax.studies.compare import Cell, compare
    from configs.taxonomy import CONTROLS

    seeds = _SEEDS.value
    if not seeds or not all(map(str.isdecimal, seeds)) or len({*map(int, seeds)}) < len(seeds):
        raise UserError(f"--seeds must be different numbers, 0,1,2 say; got {','.join(seeds)}")
    workdir = Path(_WORKDIR.value)
    cells = [
        Cell(mechanism, policy, [_folder(workdir, mechanism, policy, s) for s in _SEEDS.value])
        for mechanism, controls in CONTROLS.items()
        for policy in ("learned", *controls)
    ]
    # A seed after the other, so that one that was stopped leaves whole ones behind.
    runs = {
        cell.runs[i]: _flags(cell.mechanism, cell.policy, seed)
        for i, seed in enumerate(_SEEDS.value)
        for cell in cells
    }
    failed = train_all(runs, _JOBS.value)
    if failed:
        raise UserError(describe_failures(failed, len(runs), "runs"))
    table, plain, png = compare(cells, CONTROLS)
    with cli.writing(str(workdir)):
        write_atomically(workdir / "compare.md", table)
        write_json(workdir / "compare.json", plain)
        write_atomically(workdir / "compare.png", png)
    print(table)


def _folder(workdir: Path, mechanism: str, policy: str, seed: str) -> Path:
    # Items weighted alike are one run, whether the weights would have been soft or hard.
    alike = policy == "uniform" and mechanism.startswith("item")
    return workdir / f"{'item' if alike else mechanism},{policy},seed={seed}"


def _flags(mechanism: str, policy: str, seed: str) -> list[str]:
    extra = [f"--config.{one}" for one in _EXTRA.value]
    named = [f"--config={_CONFIG}:{mechanism}", f"--config.mechanism.policy={policy}"]
    return [*named, f"--config.seed={seed}", *extra]


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
