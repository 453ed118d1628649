"""RAM on 28x28 digits: seven glimpses of 8x8 pixels.

uv run python -m experiments.train --config=configs/ram_mnist.py --workdir=runs/ram_mnist

3.2 to 4.2 % error at the policy's mean (two seeds, two machines) and 2.2 to 2.8 % averaged over
ten rollouts, on the 500 embedded test digits, in one to two minutes of two cores; 5.8 % and 3.0 %
in 40 s of one H100. On all of MNIST, 0.96 % and 0.52 % in half an hour of two cores:

uv run python -m experiments.train --config=configs/ram_mnist.py:full --config.data.path=DIR \
  --workdir=runs/full

where DIR is a prepared TFDS directory of mnist; docs/results.md has the intervals.
"""

from ml_collections import ConfigDict, config_dict

from configs import base


def get_config(arg: str | None = None) -> ConfigDict:
    """The main job; "full": all of MNIST at the paper's widths; "tiny".

    Anything can be overridden: --config.data.source=npz --config.data.path=mnist.npz
    """
    words = base.arguments("ram_mnist.py", arg, ["full"])
    config = base.recurrent("ram")
    config.data = base.digits()

    config.mechanism = ConfigDict()
    config.mechanism.policy = "learned"
    config.mechanism.estimator = "gaussian"
    config.mechanism.spread = 0.15
    config.mechanism.spread_end = 0.05
    config.mechanism.learn_spread = False
    config.mechanism.read = "retina"
    config.mechanism.steps = 7
    config.mechanism.size = 8
    config.mechanism.scales = 1
    config.mechanism.ratio = 2.0
    config.mechanism.unit = config_dict.placeholder(float)
    config.mechanism.start = "random"
    config.mechanism.squash = "tanh"
    config.mechanism.detach = True

    config.model = ConfigDict()
    config.model.core = "relu"
    config.model.core_widths = (128,)  # 256 in the paper
    config.model.glimpse_hidden = 128
    config.model.glimpse_features = 128  # 256 in the paper
    config.model.location_hidden = (128,)  # () in the paper

    config.compute.unroll = 8
    config.evaluate.rollouts = 10
    config.evaluate.spread = 0.15
    if "full" in words:
        _full(config)
    return shrink(config) if "tiny" in words else config


def _full(config: ConfigDict) -> ConfigDict:
    """The paper's widths, and updates enough for 55,000 digits."""
    config.data.source = "tfds"
    config.mechanism.spread_end = 0.0
    config.model.core_widths = (256,)
    config.model.glimpse_features = 256
    config.train.steps = 23_600
    config.train.checkpoint_seconds = 20.0
    config.optimizer.learning_rate = 1e-3
    config.evaluate.every = 1000
    return config


def shrink(config: ConfigDict) -> ConfigDict:
    """A few updates of a small network on the embedded digits."""
    base.tiny(config)
    config.data.source = "embedded"
    config.mechanism.steps = 3
    config.compute.unroll = 1
    config.model.glimpse_hidden = 8
    config.model.glimpse_features = 8
    config.model.location_hidden = (8,)
    config.evaluate.rollouts = 2
    return config


def get_hyper(arg: str | None = None) -> list[dict]:
    """The sweep: three seeds, and the controls trained from scratch."""
    del arg
    seeds = [{"seed": seed} for seed in range(3)]
    return seeds + [{"mechanism.policy": policy} for policy in ("random", "center")]
