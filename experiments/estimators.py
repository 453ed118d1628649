"""Measure every estimator: bias, variance and cost where the exact gradient is known.

python -m experiments.estimators --workdir=runs/estimators [--run=runs/ram_mnist]

With --run, also how much the policy's gradient varies in that run, by baseline and rollouts. Its
choices must be credited: mechanism.estimator=gaussian or categorical.
"""

import math
from pathlib import Path

from absl import flags

from experiments import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "Where estimators.md, .json and .png go.")
_RUN = flags.DEFINE_string("run", None, "The folder of a run of RAM or of the square.")
_SEED = flags.DEFINE_integer("seed", 0, "The seed of the estimates.", lower_bound=0)
_TOLERANCE = flags.DEFINE_float(
    "tolerance",
    0.02,
    "Half-width of the bias's interval, as a part of the gradient's norm.",
    lower_bound=1e-3,
)


def main() -> None:
    """Print the table as it grows; write it with its plot."""
    from attn_jax.errors import UserError
    from attn_jax.studies.estimators import run

    if not _TOLERANCE.value < math.inf:
        raise UserError(f"--tolerance must be a number; got {_TOLERANCE.value}")

    def say(line: str) -> None:
        print(line, flush=True)

    with cli.writing(_WORKDIR.value):
        run(Path(_WORKDIR.value), _RUN.value, _SEED.value, _TOLERANCE.value, say)


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
