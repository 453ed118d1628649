"""Find what a hundred images of one class have in common (Jaderberg et al. 2015, appendix A.1).

uv run python -m experiments.train --config=configs/stn_colocalise.py --workdir=runs/colocalise

A digit of one class lies somewhere on each canvas of 84x84 among 16 pieces of others; neither its
class nor its place is told. Another class: --config=configs/stn_colocalise.py:digit_7; without
pieces: the word translated. All of MNIST: the word full, with --config.data.path=DIR of a prepared
TFDS directory. The encoder learns from single digits of the training split; the search goes on in
digits of the test split. What is read keeps its scale: a learned one grew until all that was read
was blank. docs/results.md says how far this falls short of the paper.
"""

from ml_collections import ConfigDict

from configs import base, stn_mnist

_PIECES = {"cluttered": 16, "translated": 0}
_DIGITS = {f"digit_{digit}": digit for digit in (3, 0, 1, 2, 4, 5, 6, 7, 8, 9)}


def get_config(arg: str | None = None) -> ConfigDict:
    """Cluttered 3s of the embedded digits; a word of each kind changes it; "tiny"."""
    groups = {
        "clutter": tuple(_PIECES),
        "digit": tuple(_DIGITS),
        "amount": ("embedded", "full"),
    }
    words, is_tiny = base.choices("stn_colocalise.py", arg, groups)
    config = base.engine("colocalisation")
    config.data = base.digits()
    config.data.task = "colocalised"
    config.data.size = 84
    config.data.shift = 0
    config.data.pieces = _PIECES[words["clutter"]]
    config.data.piece = 6
    config.data.common = _DIGITS[words["digit"]]
    config.data.count = 100
    config.mechanism = ConfigDict()
    config.mechanism.size = 28
    config.mechanism.zoom = 1 / 3
    config.mechanism.margin = 1.0
    config.mechanism.begin = 300
    config.mechanism.shift = 4
    config.mechanism.rate = 0.2
    config.model = ConfigDict()
    config.model.localisation_filters = (20, 20)
    config.model.localisation_kernels = (9, 7)
    config.model.localisation_hidden = (64,)
    config.model.localisation_shrink = 2
    config.model.filters = (32, 64)
    config.model.kernels = (9, 7)
    stn_mnist.train(config)
    del config.evaluate.shift
    config.train.batch = 32
    config.train.steps = 1200
    config.optimizer.learning_rate = 1e-3
    config.optimizer.average = 0.0
    config.evaluate.batch = 100
    config.evaluate.every = 100
    if words["amount"] == "full":
        config.data.source = "tfds"
    return _shrink(config) if is_tiny else config


def _shrink(config: ConfigDict) -> ConfigDict:
    base.tiny(config)
    config.data.source = "embedded"
    config.data.count = 10
    config.mechanism.begin = 2
    config.model.localisation_filters = (2, 2)
    config.model.localisation_hidden = (4,)
    config.model.filters = (4, 4)
    config.optimizer.warmup = 2
    config.evaluate.batch = 5
    return config


def get_table(arg: str | None = None) -> dict:
    """Each digit, with and without pieces, for experiments.compare; arg: full, tiny, or None."""
    beside = base.arguments("stn_colocalise.py", arg, ["full"])
    cells = {}
    for clutter in _PIECES:
        for digit, number in sorted(_DIGITS.items()):
            cell = {"arg": ",".join([clutter, digit, *beside])}
            if clutter == "translated":
                cell["published"] = 0.0
            cells[f"{clutter}/{number}"] = cell
    return {
        "title": "Co-localisation: the fraction of 100 images whose digit is not found",
        "note": "Published: Jaderberg et al. 2015, 0 translated, and 7 to 25 % cluttered by digit.",
        "figure": "test/error",
        "cells": cells,
    }


def get_hyper(arg: str | None = None) -> list[dict]:
    """One seed."""
    del arg
    return [{"seed": 0}]
