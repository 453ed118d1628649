"""Spatial transformers that will not train, each beside its cure (docs/trainability.md).

uv run python -m experiments.compare --config=configs/stn_trainability.py --workdir=runs/cures

One of them alone: --config=configs/stn_trainability.py:blank_frame, and with its cure
blank_frame,cured; the others are fast_localisation, random_start and zoom_out.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from configs import base, stn_addition, stn_mnist


def get_config(arg: str | None = None) -> ConfigDict:
    """The case and whether it is cured; zoom_out by default; "tiny"."""
    groups = {"case": tuple(CASES), "what": ("fails", "cured")}
    words, is_tiny = base.choices("stn_trainability.py", arg, groups)
    config = CASES[words["case"]](words["what"] == "cured")
    config.model.filters = (16, 32)
    config.train.steps = 1000
    config.train.batch = 64
    config.evaluate.every = 250
    return stn_mnist.shrink(config) if is_tiny else config


def _zoom_out(cured: bool) -> ConfigDict:
    """A localisation network twenty times as fast as its classifier; a penalty holds it."""
    config = stn_mnist.get_config("st_cnn,affine,RTS")
    config.optimizer.learning_rate = 5e-3
    config.optimizer.warmup = 0  # with it, and with clipped gradients, even a rate of 100 trains
    config.optimizer.clip = 0.0
    config.mechanism.rate = 20.0
    config.mechanism.penalty = 1.0 if cured else 0.0
    return config


def _blank_frame(cured: bool) -> ConfigDict:
    """Digits whose mean is subtracted, in a frame of zeros, or of their own background."""
    config = stn_mnist.get_config("st_cnn,affine,RTS")
    config.model.mean = 0.1307
    config.model.deviation = 0.3081
    if cured:
        config.mechanism.padding = "constant"
        config.mechanism.fill = -0.1307 / 0.3081
    return config


def _random_start(cured: bool) -> ConfigDict:
    """A last layer of random weights, or of zeros."""
    config = stn_mnist.get_config("st_cnn,affine,RTS")
    config.mechanism.last_layer = 0.0 if cured else 1.0
    return config


def _fast_localisation(cured: bool) -> ConfigDict:
    """Two digits to add, at one rate, or by slow transformers that start zoomed in."""
    config = stn_addition.get_config()
    config.optimizer.learning_rate = 1e-2
    config.optimizer.warmup = 0
    config.optimizer.clip = 0.0
    if not cured:
        config.mechanism.rate = 1.0
        config.mechanism.zoom = 1.0
    return config


# name -> (whether it is cured) -> the config
CASES: dict[str, Callable[[bool], ConfigDict]] = {
    "zoom_out": _zoom_out,
    "blank_frame": _blank_frame,
    "random_start": _random_start,
    "fast_localisation": _fast_localisation,
}


def get_table(arg: str | None = None) -> dict:
    """Every case beside its cure, for experiments.compare; arg: tiny, or None."""
    beside = base.arguments("stn_trainability.py", arg, [])
    return {
        "title": "Spatial transformers that will not train, and their cures",
        "note": "The embedded digits; 1,000 updates of 64.",
        "figure": "test/error",
        "cells": {
            f"{case}/{what}": {"arg": ",".join([case, what, *beside])}
            for case in CASES
            for what in ("fails", "cured")
        },
    }
