"""Train by a config: python -m experiments.train --config=configs/ram_mnist.py --workdir=runs/a

The same command again resumes. --helpconfig prints every field of the config.
"""

import time

_STARTED = time.time()  # before the imports: they are part of what a run takes

import sys  # noqa: E402

from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from experiments import cli  # noqa: E402

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder; the same again resumes.")
_HELPCONFIG = flags.DEFINE_bool("helpconfig", False, "Print the config's fields, and end.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Join the other processes of this run where no variable names them: docs/scaling.md.",
)


def main() -> None:
    """Train, or go on."""
    from attn_jax import cluster
    from attn_jax.errors import UserError, as_user_errors
    from attn_jax.systems import system_of
    from attn_jax.training.loop import train

    config = _CONFIG.value.to_dict()
    with as_user_errors():
        system = system_of(config)
    if _HELPCONFIG.value:
        print("\n".join(cli.field_lines(system.sections, config)))
        return
    if _WORKDIR.value is None:
        raise UserError("flag --workdir must be given: the run's folder")
    cluster.start(_DISTRIBUTED.value)
    train(system, config, _WORKDIR.value, _STARTED)


if __name__ == "__main__":
    if {"--help", "-help", "--helpfull", "-?"} & {*sys.argv}:
        __doc__ = f"{__doc__}\nconfigs:\n" + "\n".join(cli.config_lines())
    flags.mark_flag_as_required("config")
    cli.start(main)
