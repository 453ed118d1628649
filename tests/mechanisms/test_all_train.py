"""Each of the five mechanisms learns where to look: without it the problem is not solved."""

import flax.linen as nn
import jax.numpy as jnp
import pytest

from attn_jax import estimators, ops
from attn_jax.modules import AdditiveScores, Affine, Location
from attn_jax.types import Estimator, Key, Selection
from tests.mechanisms.problems import Case, Recipe, accuracies, recall, texture


def still() -> Estimator:
    """Control: the identity transform, whatever is proposed."""
    identity = estimators.identity()

    def choose(key: Key, theta: jnp.ndarray) -> Selection:
        return identity.choose(key, jnp.eye(2, 3, dtype=theta.dtype))

    return identity._replace(choose=choose, greedy=choose)


ITEMS, PLACES = recall((4,), keyed=4, classes=6), recall((3, 4), keyed=2, classes=4)
CASES = {
    "item soft": Case(
        ITEMS,
        AdditiveScores(16),
        estimators.expectation(),
        estimators.uniform(),
        ops.weighted_sum(),
        Recipe(updates=300, rate=1e-2),
    ),
    "item hard": Case(
        ITEMS,
        AdditiveScores(16),
        estimators.categorical(),
        estimators.uniform(),
        ops.weighted_sum(),
        Recipe(updates=700, rate=1e-2),
    ),
    "location soft": Case(
        PLACES,
        AdditiveScores(16),
        estimators.expectation(),
        estimators.uniform(),
        ops.mask(),
        Recipe(updates=300, rate=1e-2),
    ),
    "location hard": Case(
        texture(canvas=16, patch=4, steps=2),
        Location(),
        estimators.gaussian(0.15),
        estimators.fixed_point(),
        ops.retina(4, scales=2, ratio=4.0),  # a sharp patch, and the whole canvas blurred
        Recipe(updates=1200, rate=1e-2, count=2),
    ),
    "transformer": Case(
        texture(canvas=12, patch=6, steps=2),
        Affine(),
        estimators.identity(),
        still(),
        ops.affine(6),
        Recipe(updates=400, rate=5e-3),
    ),
}
CELLS = {"vanilla": nn.SimpleCell(32), "lstm": nn.OptimizedLSTMCell(32)}


@pytest.mark.parametrize("core", ["vanilla", pytest.param("lstm", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_the_mechanism_beats_its_control(name: str, core: str):
    learned, control = accuracies(CASES[name], CELLS[core])
    assert learned > control + 0.2
