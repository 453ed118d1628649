"""Read your own pictures: python -m experiments.infer --workdir=runs/a image.png …"""

import sys
from pathlib import Path

from absl import flags

from experiments import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_OUTPUT = flags.DEFINE_string("output", "looked.png", "The picture of where the model looked.")


def main() -> None:
    """Classify each picture, and draw where the model looked."""
    from attn_jax.training.infer import infer
    from attn_jax.training.names import UserError

    # absl has parsed the flags: what is left of the command line are the pictures.
    paths = flags.FLAGS([*sys.argv])[1:]
    if not paths:
        raise UserError("name at least one picture: experiments.infer --workdir=… image.png …")
    readings, png = infer(_WORKDIR.value, paths)
    for one in readings:
        ranked = "  ".join(f"{c} ({100 * p:.1f} %)" for c, p in one.ranked[:3])
        print(f"{one.path}: {ranked}   [{one.said}]")
    with cli.writing(_OUTPUT.value):
        Path(_OUTPUT.value).write_bytes(png)
    print(f"where it looked: {_OUTPUT.value}")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
