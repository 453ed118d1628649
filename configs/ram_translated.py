"""RAM on digits placed anywhere in 60x60: six glimpses of 12x12 at three scales.

uv run python -m experiments.train --config=configs/ram_translated.py --workdir=runs/ram_translated

On all of MNIST (--config.data.source=tfds --config.data.path=DIR) 3.5 % at the mean and 2.5 %
averaged, in a quarter of an hour of one core; the paper has 1.22 %: docs/results.md.
"""

from ml_collections import ConfigDict

from configs import base
from configs.ram_mnist import get_config as main_job
from configs.ram_mnist import shrink


def get_config(arg: str | None = None) -> ConfigDict:
    """The main job on a larger canvas; the retina's coarse scales see where the digit is."""
    words = base.arguments("ram_translated.py", arg, [])
    config = main_job("full")
    config.data.source = "embedded"
    config.data.task = "translated"
    config.data.size = 60
    config.data.shift = 0  # the places already vary
    config.mechanism.steps = 6
    config.mechanism.size = 12
    config.mechanism.scales = 3
    config.mechanism.unit = 0.0  # locations reach from edge to edge
    config.compute.unroll = 1
    config.train.batch = 128
    config.train.steps = 20_000
    return shrink(config) if "tiny" in words else config
