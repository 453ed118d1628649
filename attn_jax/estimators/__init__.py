"""Estimators: how a choice is made going forward, and credited going back.

Each is one short function that returns an `Estimator`. Soft ones are functions of the proposal and
need no credit; hard ones sample, and learn by the score function or by a gradient through the
sample; controls ignore the proposal; wrappers make one estimator of another. Exchanging one for
another changes no parameter. `MEMBERS` holds them by name.
"""

from attn_jax.estimators.controls import fixed_point, fixed_transform, random_point, uniform
from attn_jax.estimators.hard import categorical, gaussian
from attn_jax.estimators.members import CONTROLS, MEMBERS, MakeEstimator, Member
from attn_jax.estimators.relaxed import (
    gumbel_softmax,
    pathwise_gaussian,
    straight_through,
    straight_through_gumbel,
)
from attn_jax.estimators.smooth import expectation, identity, sparsemax
from attn_jax.estimators.wrappers import semi_sampling, with_temperature

__all__ = [
    "CONTROLS",
    "MEMBERS",
    "MakeEstimator",
    "Member",
    "categorical",
    "expectation",
    "fixed_point",
    "fixed_transform",
    "gaussian",
    "gumbel_softmax",
    "identity",
    "pathwise_gaussian",
    "random_point",
    "semi_sampling",
    "sparsemax",
    "straight_through",
    "straight_through_gumbel",
    "uniform",
    "with_temperature",
]
