"""Systems: one paper or application a file, from its config's sections to an experiment."""

from collections.abc import Mapping
from typing import Any

from attn_jax import fields
from attn_jax.errors import as_user_errors, pick
from attn_jax.systems import colocalisation, dates, ram, spatial_transformer, square
from attn_jax.training.experiment import Experiment, System
from attn_jax.training.settings import Settings

# name -> the system, as a config's `system` names it
SYSTEMS: dict[str, System] = {
    "ram": ram.SYSTEM,
    "square": square.SYSTEM,
    "spatial_transformer": spatial_transformer.SYSTEM,
    "colocalisation": colocalisation.SYSTEM,
    "dates": dates.SYSTEM,
}


def system_of(config: Mapping[str, Any]) -> System:
    """The system that a config names.

    Raises:
      ValueError: if it names none, or one that is not there; one line.
    """
    if "system" not in config:
        raise ValueError("the config has no field system: it is of an older version")
    return pick(SYSTEMS, config["system"], "system")


def read_config(config: Mapping[str, Any]) -> tuple[System, Settings]:
    """The system that a config names, and the config's sections.

    Raises:
      ValueError: naming what is missing, unknown or out of range; one line.
    """
    system = system_of(config)
    return system, fields.read(system.sections, config, like=system.config)


def prepare(config: Mapping[str, Any]) -> tuple[Settings, Experiment]:
    """The sections of a config, and its experiment.

    Raises:
      UserError: for whatever does not fit or is not there; one line.
    """
    with as_user_errors():
        system, settings = read_config(config)
        return settings, system.prepare(settings)
