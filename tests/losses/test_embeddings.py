"""The triplet hinge against a plain loop, and what reaches its gradient."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax.losses import triplet_hinge


def pairs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(count, 3)), random.normal(size=(count, 3))


def of_loops(anchors: np.ndarray, negatives: np.ndarray, margin: float) -> list[float]:
    """Losses, pair by pair."""
    losses = []
    for n, e in enumerate(anchors):
        apart = ((e - negatives[n]) ** 2).sum()
        each = [
            max(0.0, ((e - other) ** 2).sum() - apart + margin)
            for m, other in enumerate(anchors)
            if m != n
        ]
        losses.append(sum(each) / len(each))
    return losses


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("margin", [0.0, 1.0, 4.0])
def test_it_is_the_mean_over_the_other_anchors(count: int, margin: float):
    anchors, negatives = pairs(count)
    out = triplet_hinge(jnp.asarray(anchors), jnp.asarray(negatives), margin)
    np.testing.assert_allclose(out, of_loops(anchors, negatives, margin), rtol=1e-5)


def test_anchors_alike_and_far_from_their_negatives_cost_nothing():
    same = jnp.ones((4, 2))
    np.testing.assert_array_equal(triplet_hinge(same, same + 1.0, 1.0), 0)
    np.testing.assert_allclose(triplet_hinge(same, same, 1.5), 1.5)


def test_its_gradient_is_that_of_finite_differences():
    both = tuple(jnp.asarray(one) for one in pairs(4, seed=1))
    check_grads(lambda *both: triplet_hinge(*map(jnp.asarray, both)).sum(), both, 1, modes=("rev",))


@pytest.mark.parametrize("shapes", [((1, 3), (1, 3)), ((3, 2), (2, 2)), ((3, 2), (3, 4))])
def test_what_does_not_fit_is_named(bad_input: None, shapes: tuple):
    with pytest.raises(ValueError, match="triplet_hinge needs anchors"):
        triplet_hinge(*map(jnp.zeros, shapes))
