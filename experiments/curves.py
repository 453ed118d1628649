"""Draw how the spatial transformers of several runs fared while they trained, in one picture.

python -m experiments.curves --output=curves.png runs/one runs/other …
"""

import sys
from pathlib import Path

from absl import flags

from experiments import cli

_OUTPUT = flags.DEFINE_string("output", "curves.png", "The PNG to write.")


def main() -> None:
    """Write the picture, with the thresholds beyond which a transformer has collapsed."""
    from attn_jax import tasks, viz
    from attn_jax.errors import UserError
    from attn_jax.records import read_metrics, write_atomically

    # absl has parsed the flags: what is left of the command line are the runs.
    folders = [Path(name) for name in flags.FLAGS([*sys.argv])[1:]]
    if not folders:
        raise UserError("name folders of runs: experiments.curves --output=… runs/one …")
    if missing := [one for one in folders if not (one / "metrics.jsonl").exists()]:
        raise UserError(f"{missing[0]} holds no run: there is no metrics.jsonl in it")
    runs = {one.name: read_metrics(one / "metrics.jsonl") for one in folders}
    try:
        figure = viz.transform_curves(runs, tasks.COLLAPSED)
    except ValueError as error:
        raise UserError(f"these runs have no transformers: {error}") from error
    with cli.writing(_OUTPUT.value):
        write_atomically(Path(_OUTPUT.value), viz.to_png(figure))
    print(_OUTPUT.value)


if __name__ == "__main__":
    cli.start(main)
