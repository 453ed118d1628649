"""Train by a config: python -m experiments.train --config=configs/ram_mnist.py --workdir=runs/a"""

import time

_STARTED = time.time()  # before the imports: they are part of what a run takes

from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from experiments import cli  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; the same again resumes.")


def main() -> None:
    """Train, or go on."""
    from attn_jax.training.loop import train

    train(_CONFIG.value, _WORKDIR.value, _STARTED)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    cli.start(main)
