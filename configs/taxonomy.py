"""The square of mechanisms on the same cluttered digits: encoder, core, head and steps alike.

What is read differs in size, 64 numbers a step (items), 256 (a crop, a transform) or 4,096 (a map
times its weights), and so does the layer that fuses it: compare parameters as well as errors.

uv run python -m experiments.train --config=configs/taxonomy.py:item_soft --workdir=runs/item_soft

item_soft, item_hard, location_soft, location_hard or spatial_transformer. Its control, trained
from scratch: --config.mechanism.policy=uniform (items, soft locations), random or center (hard
locations), identity (the transformer). All of them, side by side on the same images:

uv run python -m experiments.compare --workdir=runs/square

Hard attention is trained by gradients through the choice, which is biased for items. By REINFORCE:
--config.mechanism.estimator=categorical (items), or gaussian with --config.mechanism.detach=True.
"""

from ml_collections import ConfigDict

from configs import base

# name -> (estimator, spread: sigma of a location or tau of a relaxed item, read, whether items)
_MECHANISMS = {
    "item_soft": ("expectation", 1.0, "weighted_sum", True),
    "item_hard": ("straight_through", 1.0, "weighted_sum", True),
    "location_soft": ("expectation", 1.0, "mask", False),
    "location_hard": ("pathwise_gaussian", 0.15, "crop", False),
    "spatial_transformer": ("identity", 1.0, "affine", False),
}


def get_config(arg: str | None = None) -> ConfigDict:
    """The mechanism named by arg; item_soft by default; "tiny" beside it."""
    words = base.arguments("taxonomy.py", arg, list(_MECHANISMS))
    name = next((word for word in words if word in _MECHANISMS), "item_soft")
    estimator, spread, read, items = _MECHANISMS[name]
    config = base.recurrent("square")
    config.data = base.digits()
    config.data.task = "cluttered"
    config.data.size = 60
    config.data.shift = 0

    config.mechanism = ConfigDict()
    config.mechanism.policy = "learned"
    config.mechanism.estimator = estimator
    config.mechanism.spread = spread
    config.mechanism.spread_end = 0.0
    config.mechanism.learn_spread = False
    config.mechanism.coin = 0.0
    config.mechanism.temperature = 1.0
    config.mechanism.scores = "additive"
    config.mechanism.read = read
    config.mechanism.steps = 4
    config.mechanism.size = 2  # of the map's 8 x 8 places
    config.mechanism.as_items = items
    config.mechanism.squash = "tanh"
    config.mechanism.zoom = 0.5
    config.mechanism.detach = False

    config.model = ConfigDict()
    config.model.core = "gru"
    config.model.core_widths = (128,)
    config.model.encoder = (16, 32, 64)
    config.model.coordinates = True
    config.model.score_features = 64
    config.model.location_hidden = (128,)
    config.model.features = 128

    config.train.steps = 1500
    config.train.batch = 128
    config.train.checkpoint_seconds = 20.0
    config.optimizer.learning_rate = 1e-3
    config.evaluate.rollouts = 10
    config.evaluate.spread = 0.0
    return _tiny(config) if "tiny" in words else config


def _tiny(config: ConfigDict) -> ConfigDict:
    """A few updates of a small network."""
    base.tiny(config)
    config.mechanism.steps = 2
    config.model.encoder = (4, 4, 8)
    config.model.score_features = 4
    config.model.location_hidden = (8,)
    config.model.features = 8
    config.evaluate.rollouts = 2
    return config


# mechanism -> the control policies that it is held against, trained from scratch
CONTROLS = {
    "item_soft": ("uniform",),
    "item_hard": ("uniform",),
    "location_soft": ("uniform",),
    "location_hard": ("random", "center"),
    "spatial_transformer": ("identity",),
}


def get_table(arg: str | None = None) -> dict:
    """The five mechanisms beside their controls, for experiments.compare; arg: tiny, or None."""
    beside = [f",{word}" for word in base.arguments("taxonomy.py", arg, [])]
    cells = {}
    for name, controls in CONTROLS.items():
        for policy in ("learned", *controls):
            # Items weighted alike are one run, whether the weights would have been soft or hard.
            alike = policy == "uniform" and name.startswith("item")
            cells[f"{name}/{policy}"] = {
                "arg": "".join(["item_hard" if alike else name, *beside]),
                "overrides": {"mechanism.policy": policy},
                "folder": f"{'item' if alike else name},{policy}",
            }
        cells[f"{name}/learned"]["controls"] = [f"{name}/{control}" for control in controls]
    return {
        "title": "The square of mechanisms",
        "note": "Error at the policy's mean; each control is trained from scratch.",
        "figure": "test/error_mean",
        "study": "square",
        "cells": cells,
    }


def get_hyper(arg: str | None = None) -> list[dict]:
    """The mechanism beside its controls, one seed."""
    words = base.arguments("taxonomy.py", arg, list(_MECHANISMS))
    name = next((word for word in words if word in _MECHANISMS), "item_soft")
    policies = ("learned", *CONTROLS[name])
    return [{"mechanism.policy": policy} for policy in policies]
