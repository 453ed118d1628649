"""Spatial transformer networks on distorted digits (Jaderberg et al. 2015, table 1).

uv run python -m experiments.train --config=configs/stn_mnist.py --workdir=runs/stn

A convolutional network behind an affine transformer, on rotated, scaled and translated digits. Any
cell of the table: --config=configs/stn_mnist.py:st_cnn,projective,R with a network of fcn, cnn,
st_fcn, st_cnn; a transform of affine, projective, control_points or another of `ops.transforms`;
and digits of RTS, R (rotated), P (projective), E (elastic), TC (translated, cluttered). All of
MNIST: the word full, with --config.data.path=DIR of a prepared TFDS directory.

The paper's layers do not fit its images without padding, and hold fewer parameters than it says:
here the transformer reads 28x28 pixels of any canvas, maps are pooled while they have two rows,
and widths are free.
"""

from ml_collections import ConfigDict, config_dict

from configs import base

_NETS = ("st_cnn", "cnn", "st_fcn", "fcn")
_TRANSFORMS = (
    "affine", "projective", "control_points", "corners", "similarity", "isotropic", "axis_aligned",
    "translation", "rotation",
)  # fmt: skip
# word -> the task of data.task
DISTORTIONS = {
    "RTS": "rotated_scaled_translated",
    "R": "rotated",
    "P": "projected",
    "E": "bent",
    "TC": "cluttered",
}


def get_config(arg: str | None = None) -> ConfigDict:
    """st_cnn,affine,RTS on the embedded digits; "full": all of MNIST; "tiny"."""
    groups = {
        "net": _NETS,
        "transform": _TRANSFORMS,
        "digits": tuple(DISTORTIONS),
        "amount": ("embedded", "full"),
    }
    words, is_tiny = base.choices("stn_mnist.py", arg, groups)
    config = base.engine("spatial_transformer")
    config.data = base.digits()
    config.data.task = DISTORTIONS[words["digits"]]
    config.data.shift = 0
    if words["digits"] == "TC":
        config.data.size = 60
        config.data.pieces = 6
        config.data.piece = 6
    config.mechanism = base.transformers()
    config.mechanism.transform = words["transform"] if words["net"].startswith("st") else "none"
    config.model = cnn() if words["net"].endswith("cnn") else _fcn()
    train(config)
    if words["amount"] == "full":
        _full(config)
    return shrink(config) if is_tiny else config


def train(config: ConfigDict) -> None:
    """How spatial transformers are trained and measured."""
    config.compute = ConfigDict()
    config.compute.dtype = "float32"
    config.compute.sampler = config_dict.placeholder(str)

    config.train.steps = 2000
    config.train.batch = 128
    config.train.checkpoint_seconds = 20.0
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup = 100
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip = 1.0
    config.optimizer.average = 0.998
    config.evaluate.batch = 500
    config.evaluate.shift = 1


def _full(config: ConfigDict) -> None:
    """All of MNIST, forty times; convolutions of more layers, which generalise better."""
    config.data.source = "tfds"
    if config.model.filters:
        config.model.filters = (32, 64, 128)
        config.model.kernels = (5, 5, 3)
        config.model.dropout = 0.3
    config.train.steps = 17_200
    config.evaluate.every = 1000


def cnn() -> ConfigDict:
    """Convolutions of 9x9 and 7x7, and a localisation network of two of 5x5."""
    model = ConfigDict()
    model.core = "gru"
    model.core_widths = (256,)
    model.localisation_filters = (20, 20)
    model.localisation_kernels = (5, 5)
    model.localisation_hidden = (20,)
    model.localisation_shrink = 2
    model.mean = 0.0
    model.deviation = 1.0
    model.filters = (32, 64)
    model.kernels = (9, 7)
    model.hidden = ()
    model.dropout = 0.0
    return model


def _fcn() -> ConfigDict:
    """Dense layers alone."""
    model = ConfigDict()
    model.core = "gru"
    model.core_widths = (256,)
    model.localisation_filters = ()
    model.localisation_kernels = ()
    model.localisation_hidden = (32, 32, 32)
    model.localisation_shrink = 1
    model.mean = 0.0
    model.deviation = 1.0
    model.filters = ()
    model.kernels = ()
    model.hidden = (256, 256)
    model.dropout = 0.0
    return model


def shrink(config: ConfigDict) -> ConfigDict:
    """A few updates of a small network on the embedded digits."""
    base.tiny(config)
    config.data.source = "embedded"
    config.optimizer.warmup = 2
    model = config.model
    if model.filters:
        model.localisation_filters = (2,) * len(model.localisation_filters)
        model.filters = (4,) * len(model.filters)
    else:
        model.localisation_hidden = (4,)
        model.hidden = (8,)
    return config


# row -> (the config's words, published error in percent in the order of COLUMNS; table 1)
_ROWS = {
    "fcn": ("fcn", (2.1, 5.2, 3.1, 3.2, 13.2)),
    "cnn": ("cnn", (1.2, 0.8, 1.5, 1.4, 3.5)),
    "st_fcn_affine": ("st_fcn,affine", (1.2, 0.8, 1.5, 2.7, 2.0)),
    "st_fcn_projective": ("st_fcn,projective", (1.3, 0.9, 1.4, 2.6, None)),
    "st_fcn_tps": ("st_fcn,control_points", (1.1, 0.8, 1.4, 2.4, None)),
    "st_cnn_affine": ("st_cnn,affine", (0.7, 0.5, 0.8, 1.2, 1.7)),
    "st_cnn_projective": ("st_cnn,projective", (0.8, 0.6, 0.8, 1.3, None)),
    "st_cnn_tps": ("st_cnn,control_points", (0.7, 0.5, 0.8, 1.1, None)),
}
_COLUMNS = ("R", "RTS", "P", "E", "TC")


def get_table(arg: str | None = None) -> dict:
    """Table 1 of the paper on all of MNIST, for experiments.compare; arg: tiny, or None."""
    beside = base.arguments("stn_mnist.py", arg, []) or ["full"]
    cells = {}
    for row, (words, published) in _ROWS.items():
        for column, percent in zip(_COLUMNS, published, strict=True):
            cell = {"arg": ",".join([words, column, *beside])}
            if percent is not None:
                cell["published"] = percent / 100
            cells[f"{row}/{column}"] = cell
    return {
        "title": "Spatial transformer networks on distorted digits",
        "note": "Published: Jaderberg et al. 2015, the mean of three seeds.",
        "figure": "test/error",
        "cells": cells,
    }


def get_hyper(arg: str | None = None) -> list[dict]:
    """Three seeds."""
    del arg
    return [{"seed": seed} for seed in range(3)]
