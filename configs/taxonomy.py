"""The square of mechanisms on the same cluttered digits: encoder, core, head and steps alike.

What is read differs in size, 64 numbers a step (items), 256 (a crop, a transform) or 4,096 (a map
in the light of its weights), and so does the layer that fuses it: hold parameters beside errors.

uv run python -m experiments.train --config=configs/taxonomy.py:item_soft --workdir=runs/item_soft

item_soft, item_hard, location_soft, location_hard or spatial_transformer. Its control, trained
from scratch: --config.model.policy=uniform (items, soft locations), random or center (hard
locations), identity (the transformer). All of them, side by side on the same images:

uv run python -m experiments.compare --workdir=runs/square

Hard attention is trained by gradients through the choice, which is biased for items. By REINFORCE:
--config.model.estimator=categorical (items), or gaussian with --config.model.detach=True.
"""

from ml_collections import ConfigDict

from configs.ram_cluttered import get_config as cluttered

# estimator, its spread (sigma of a location, tau of a relaxed item), read, whether items or a map
_MECHANISMS = {
    "item_soft": ("expectation", 1.0, "weighted_sum", True),
    "item_hard": ("straight_through", 1.0, "weighted_sum", True),
    "location_soft": ("expectation", 1.0, "mask", False),
    "location_hard": ("pathwise_gaussian", 0.15, "crop", False),
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
    config.model.coin = 0.0  # the probability of sampling, else the expectation; 0: no coin
    config.model.temperature = 1.0  # scores are divided by it
    config.model.read = read
    config.model.as_items = items  # the map's places as a list
    config.model.encoder = (16, 32, 64)  # features of its convolutions, each halving the image
    config.model.coordinates = True  # its last layer sees where each place is
    config.model.scores = "additive"  # additive | scaled_dot | dot | bilinear | state
    config.model.score_features = 64
    config.model.zoom = 0.5  # of the identity a transformer starts from
    config.model.glimpses = 4
    config.model.glimpse_size = 2  # of the map's 8 x 8 places: a crop, or a transformer's output
    config.model.unit = 0.0
    config.model.core = "gru"
    config.model.features = (128,)
    config.model.glimpse_features = 128
    config.model.detach = False
    config.model.unroll = 1
    config.train.steps = 1500
    config.optimizer.learning_rate = 1e-3
    config.evaluate.every = 500
    config.evaluate.sigma = 0.0
    return config


# What each is held against, trained from scratch.
CONTROLS = {
    "item_soft": ("uniform",),
    "item_hard": ("uniform",),
    "location_soft": ("uniform",),
    "location_hard": ("random", "center"),
    "spatial_transformer": ("identity",),
}


def get_hyper(arg: str | None = None) -> list[dict]:
    """The mechanism beside its controls, one seed."""
    get_config(arg)  # refuses what is none
    policies = ("learned", *CONTROLS[arg or "item_soft"])
    return [{"model.policy": policy} for policy in policies]
