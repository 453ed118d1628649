"""Dates in words to ISO dates by attention over characters, soft or hard.

uv run python -m experiments.train --config=configs/seq2seq_dates.py --workdir=runs/dates
uv run python -m experiments.train --config=configs/seq2seq_dates.py:hard --workdir=runs/dates_hard

REINFORCE alone: --config=configs/seq2seq_dates.py:hard --config.mechanism.estimator=categorical
"""

from ml_collections import ConfigDict

from configs import base


def get_config(arg: str | None = None) -> ConfigDict:
    """Soft by default; "hard": one character read a step; "tiny"."""
    words = base.arguments("seq2seq_dates.py", arg, ["soft", "hard"])
    config = base.recurrent("dates")

    config.data = ConfigDict()
    config.data.train = 40_000
    config.data.validation = 1_000
    config.data.test = 2_000
    config.data.seed = 0

    config.mechanism = ConfigDict()
    config.mechanism.policy = "learned"
    config.mechanism.estimator = "straight_through" if "hard" in words else "expectation"
    config.mechanism.spread = 1.0
    config.mechanism.spread_end = 0.0
    config.mechanism.coin = 0.0
    config.mechanism.temperature = 1.0
    config.mechanism.scores = "additive"
    config.mechanism.read = "weighted_sum"
    config.mechanism.detach = False

    config.model = ConfigDict()
    config.model.core = "gru"
    config.model.core_widths = (128,)
    config.model.embedding = 32
    config.model.encoder_features = 64
    config.model.score_features = 64

    config.train.steps = 1000
    config.train.batch = 128
    config.train.reward = "log_likelihood"
    config.train.policy_weight = 1.0
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip = 1.0
    return _tiny(config) if "tiny" in words else config


def _tiny(config: ConfigDict) -> ConfigDict:
    """A few updates of a small network on a few dates."""
    base.tiny(config)
    config.data.train = 48
    config.data.validation = 9
    config.data.test = 11
    config.model.embedding = 4
    config.model.encoder_features = 4
    config.model.score_features = 4
    return config


def get_hyper(arg: str | None = None) -> list[dict]:
    """Three seeds."""
    del arg
    return [{"seed": seed} for seed in range(3)]
