"""The estimators under test, what they are proposed, and one choice of each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from attn_jax import estimators
from attn_jax.fit import tag_of

SCORES = np.array([0.5, -1.0, 2.0, 0.0, 1.0], np.float32)
MASKED = np.array([0.5, -np.inf, 2.0, 0.0, -np.inf], np.float32)
MEAN = np.array([0.3, -0.6], np.float32)
SIGMA = 0.2
TAU = 0.6
KEY = jax.random.key(0)
SAMPLES = 20_000

SPREADS = {"sigma": SIGMA, "tau": TAU, None: None}
OURS = {
    name: member.make(SPREADS[member.spread]) for name, member in estimators.MEMBERS.items()
} | {
    "random_point": estimators.random_point(0.7),
    "fixed_point": estimators.fixed_point((0.25, -0.5)),
}
OF_SCORES, OF_POINTS = (
    {name: estimator for name, estimator in OURS.items() if tag_of(estimator.gives) == tag}
    for tag in ("weights", "point")
)
THROUGH = ("straight_through", "straight_through_gumbel")
RELAXED = ("gumbel_softmax", *THROUGH, "pathwise_gaussian")
SAMPLERS = ("categorical", "gaussian", "random_point", *RELAXED)
CONTROLS = ("uniform", "fixed_point", "random_point", "fixed_transform")
CREDITED = ("categorical", "gaussian")
WEIGHTS = np.arange(1.0, 6.0)


def named(*names):
    return pytest.mark.parametrize("name", names or list(OURS))


def proposal(name):
    if name in OF_SCORES:
        return jnp.asarray(SCORES)
    return jnp.asarray(MEAN) if name in OF_POINTS else jnp.arange(6.0).reshape(2, 3)


def choice(name, key=KEY):
    return jax.jit(OURS[name].choose)(key, proposal(name))


def softmax(scores):
    return scipy.special.softmax(scores.astype(np.float64))


@functools.cache
def many(name):
    """Many choices of a sampler, or of a categorical with some places masked."""
    keys = jax.random.split(KEY, SAMPLES)
    estimator = OURS.get(name, OURS["categorical"])
    given = jnp.asarray(MASKED) if name == "masked" else proposal(name)
    return jax.jit(jax.vmap(estimator.choose, (0, None)))(keys, given)
