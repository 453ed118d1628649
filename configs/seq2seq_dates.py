"""Dates in words to ISO dates by attention over characters, soft or hard.

uv run python -m experiments.train --config=configs/seq2seq_dates.py --workdir=runs/dates
uv run python -m experiments.train --config=configs/seq2seq_dates.py:hard --workdir=runs/dates_hard

REINFORCE alone: --config=configs/seq2seq_dates.py:hard --config.model.estimator=categorical
"""

from ml_collections import ConfigDict

from configs.ram_mnist import get_config as base


def get_config(arg: str | None = None) -> ConfigDict:
    """Soft by default; "hard": one character read a step."""
    if arg not in (None, "soft", "hard"):
        raise ValueError(f"seq2seq_dates.py takes :soft or :hard; got :{arg}")
    config = base()
    config.data = ConfigDict()
    config.data.train = 40_000  # examples
    config.data.validation = 1_000
    config.data.test = 2_000
    config.data.seed = 0  # of the split of the days, and of their formats

    config.model = ConfigDict()
    config.model.name = "seq2seq"
    config.model.policy = "learned"  # learned | uniform
    config.model.estimator = "straight_through" if arg == "hard" else "expectation"
    config.model.sigma = 1.0  # tau of a relaxed choice
    config.model.sigma_end = 0.0  # linear from sigma to here; 0: constant
    config.model.coin = 0.0  # the probability of sampling, else the expectation; 0: no coin
    config.model.temperature = 1.0  # scores are divided by it
    config.model.read = "weighted_sum"
    config.model.glimpses = 10  # characters of an ISO date, each with one choice
    config.model.embedding = 32
    config.model.encoder_features = 64  # in each direction
    config.model.scores = "additive"  # additive | scaled_dot | dot | bilinear | state
    config.model.score_features = 64
    config.model.core = "gru"
    config.model.features = (128,)
    config.model.detach = False
    config.model.remat = False
    config.model.unroll = 1

    config.train.steps = 1000
    config.train.batch = 128
    config.train.reward = "log_likelihood"
    config.train.policy_weight = 1.0
    config.evaluate.sigma = 0.0
    config.optimizer.learning_rate = 2e-3
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip = 1.0
    return config


def get_hyper(arg: str | None = None) -> list[dict]:
    """Three seeds."""
    del arg
    return [{"seed": seed} for seed in range(3)]
