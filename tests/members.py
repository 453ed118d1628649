"""Every member of the library with arguments for the tests, from the library's own tables.

A read whose constructor needs arguments has a row in `ARGUMENTS`; a proposal has one in
`MECHANISMS`.
"""

from collections.abc import Mapping
from typing import Any, get_args

from attn_jax import estimators, modules, ops
from attn_jax.fit import tag_of
from attn_jax.modules import (
    AdditiveScores,
    Affine,
    BilinearScores,
    DotScores,
    JointScores,
    Location,
    ScaledDotScores,
    StateScores,
)
from attn_jax.types import Estimator, Tag

SPREADS = {"sigma": 0.1, "tau": 0.7, None: None}
ESTIMATORS = {
    name: member.make(SPREADS[member.spread]) for name, member in estimators.MEMBERS.items()
} | {
    f"identity(gives='{tag}')": estimators.identity(gives=tag)
    for tag in get_args(Tag)
    if tag not in ("weights", estimators.MEMBERS["identity"].gives)
}
WRAPPED = {
    "semi_sampling": estimators.semi_sampling(estimators.categorical(), 0.5),
    "with_temperature": estimators.with_temperature(estimators.categorical(), 0.7),
}
ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "weighted_sum": {},
    "mask": {},
    "crop": {"size": (2, 3)},
    "retina": {"size": 2, "scales": 2},
    "affine": {"size": (3, 2)},
    "projective": {"size": (3, 2)},
    "thin_plate_spline": {"size": (3, 2), "control": ops.control_grid(2)},
    "gaussian_grid": {"size": 3},
}
READS = {name: member.make(**ARGUMENTS[name]) for name, member in ops.READS.items()}

S = 6  # width of the state, and of the items, so that a dot product fits
ITEMS, PLACES, IMAGE, SCALARS = (5, S), (2, 3, S), (8, 7, 2), (5,)
# name -> (proposal, what it is read by, the shape of x, the shape of what is proposed)
MECHANISMS = {
    "additive, items": (AdditiveScores(4), "weighted_sum", ITEMS, (5,)),
    "additive, places": (AdditiveScores(4), "mask", PLACES, (2, 3)),
    "dot, items": (DotScores(), "weighted_sum", ITEMS, (5,)),
    "dot, places": (DotScores(), "mask", PLACES, (2, 3)),
    "bilinear, items": (BilinearScores(), "weighted_sum", ITEMS, (5,)),
    "scaled dot, places": (ScaledDotScores(4), "weighted_sum", PLACES, (2, 3)),
    "state, items": (StateScores((5,)), "weighted_sum", ITEMS, (5,)),
    "state, places": (StateScores((2, 3)), "weighted_sum", PLACES, (2, 3)),
    "joint, scalars": (JointScores(4), "weighted_sum", SCALARS, (5,)),
    "location, retina": (Location((4,)), "retina", IMAGE, (2,)),
    "location, crop": (Location((4,)), "crop", IMAGE, (2,)),
    "affine": (Affine((4,)), "affine", IMAGE, (2, 3)),
}
CORES = {name: make(S, None) for name, make in modules.CORES.items()}


def tag(estimator: Estimator) -> Tag:
    """What a read must take to fit the estimator."""
    return tag_of(estimator.gives)
