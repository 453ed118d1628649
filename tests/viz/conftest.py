"""Small made-up rollouts."""

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def rollout():
    """Make N images with T glimpses of k scales, all different and all from one seed."""

    def make(n=2, steps=3, scales=2, g=4, size=12, channels=1):
        rng = np.random.default_rng(0)
        return SimpleNamespace(
            images=rng.uniform(size=(n, size, size, channels)),
            locations=rng.uniform(-1, 1, size=(n, steps, 2)),
            glimpses=rng.uniform(size=(n, steps, scales, g, g, channels)),
            labels=np.arange(n),
            predictions=np.arange(n)[::-1],
        )

    return make
