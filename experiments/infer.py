"""Read your own pictures, or dates.

python -m experiments.infer --workdir=runs/ram_mnist image.png …
python -m experiments.infer --workdir=runs/dates "the 3rd of march, 1998" …
"""

import sys
from pathlib import Path

from absl import flags

from experiments import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_OUTPUT = flags.DEFINE_string("output", "looked.png", "The picture of where the model looked.")


def main() -> None:
    """Say what each is, and draw where the model looked."""
    from attn_jax.errors import UserError
    from attn_jax.records import write_atomically
    from attn_jax.runs.infer import infer

    # absl has parsed the flags: what is left of the command line is what to read.
    queries = flags.FLAGS([*sys.argv])[1:]
    if not all(queries) or not queries:
        raise UserError("name pictures, or texts: experiments.infer --workdir=… image.png …")
    readings, png = infer(_WORKDIR.value, queries)
    print("\n".join(one.line for one in readings))
    with cli.writing(_OUTPUT.value):
        write_atomically(Path(_OUTPUT.value), png)
    print(f"where it looked: {_OUTPUT.value}")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
