"""The step that is timed: RAM with the paper's linear location head, 6 glimpses of 8x8 on 28x28.

uv run python -m experiments.benchmark --config=configs/ram_benchmark.py
"""

from ml_collections import ConfigDict

from configs import base
from configs.ram_mnist import get_config as main_job
from configs.ram_mnist import shrink


def get_config(arg: str | None = None) -> ConfigDict:
    """The main job at the size that public implementations are timed at."""
    words = base.arguments("ram_benchmark.py", arg, [])
    config = main_job("full")
    config.data.source = "embedded"
    config.data.shift = 0
    config.mechanism.steps = 6
    config.model.location_hidden = ()
    config.train.batch = 128
    return shrink(config) if "tiny" in words else config
