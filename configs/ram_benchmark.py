"""The step that is timed: RAM with the paper's linear location head, 6 glimpses of 8x8 on 28x28.

uv run python -m experiments.benchmark --config=configs/ram_benchmark.py
"""

from ml_collections import ConfigDict

from configs.ram_mnist import get_config as main_job


def get_config(arg: str | None = None) -> ConfigDict:
    """The main job at the size that public implementations are timed at."""
    config = main_job("full")
    config.data.source = "embedded"
    config.data.shift = 0
    config.model.glimpses = 6
    config.model.location_hidden = ()
    config.train.batch = 128
    return config
