"""The square of mechanisms on the same cluttered digits: encoder, core, head and steps alike.

What is read differs in size, 32 numbers a step (items), 800 (a crop, a transform) or 7,200 (a map
in the light of its weights), and so does the layer that fuses it: hold parameters beside errors.

uv run python -m experiments.train --config=configs/taxonomy.py:item_soft --workdir=runs/item_soft

item_soft, item_hard, location_soft, location_hard or spatial_transformer. Its control, trained
from scratch: --config.model.policy=uniform (items, soft locations), random or center (hard
locations), identity (the transformer).
"""

from ml_collections import ConfigDict

from configs.ram_cluttered import get_config as cluttered

# estimator, its spread (sigma of a location, tau of a relaxed item), read, whether items or a map
_MECHANISMS = {
    "item_soft": ("expectation", 1.0, "weighted_sum", True),
    "item_hard": ("straight_through", 1.0, "weighted_sum", True),
    "location_soft": ("expectation", 1.0, "mask", False),
    "location_hard": ("gaussian", 0.15, "crop", False),
    "spatial_transformer": ("identity", 1.0, "affine", False),
}


def get_config(arg: str | None = None) -> ConfigDict:
    """The mechanism named by arg; item_soft by default."""
    name = arg or "item_soft"
    if name not in _MECHANISMS:
        raise ValueError(f"taxonomy.py takes one of {', '.join(_MECHANISMS)}; got :{arg}")
    config = cluttered()
    estimator, spread, read, items = _MECHANISMS[name]
    config.model.name = "square"
    config.model.estimator = estimator
    config.model.sigma = spread
    config.model.sigma_end = 0.0
    config.model.read = read
    config.model.as_items = items  # the map's places as a list
    config.model.encoder = (16, 32)  # features of its convolutions, each halving the image
    config.model.scores = "additive"  # additive | scaled_dot | bilinear
    config.model.score_features = 64
    config.model.zoom = 0.5  # of the identity a transformer starts from
    config.model.glimpses = 4
    config.model.glimpse_size = 5  # of the map's 15 x 15 places: a crop, or a transformer's output
    config.model.unit = 0.0
    config.model.core = "gru"
    config.model.features = (128,)
    config.model.glimpse_features = 128
    config.model.detach = name == "location_hard"
    config.model.unroll = 1
    config.train.steps = 5000
    config.optimizer.learning_rate = 1e-3
    return config


def get_hyper(arg: str | None = None) -> list[dict]:
    """The mechanism beside its controls trained from scratch, one seed."""
    controls = {"location_hard": ("random", "center"), "spatial_transformer": ("identity",)}
    policies = ("learned", *controls.get(arg or "item_soft", ("uniform",)))
    return [{"model.policy": policy} for policy in policies]
