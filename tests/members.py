"""Every member of the library, once: a new one is a row here."""

import flax.linen as nn

from attn_jax import estimators, ops
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

ESTIMATORS = {
    "expectation": estimators.expectation(),
    "sparsemax": estimators.sparsemax(),
    "categorical": estimators.categorical(),
    "gumbel_softmax": estimators.gumbel_softmax(0.7),
    "straight_through": estimators.straight_through(0.7),
    "straight_through_gumbel": estimators.straight_through_gumbel(0.7),
    "uniform": estimators.uniform(),
    "gaussian": estimators.gaussian(0.1),
    "pathwise_gaussian": estimators.pathwise_gaussian(0.1),
    "random_point": estimators.random_point(),
    "fixed_point": estimators.fixed_point(),
    "identity": estimators.identity(),
    "fixed_transform": estimators.fixed_transform(((0.5, 0, 0), (0, 0.5, 0))),
} | {
    f"identity(gives='{tag}')": estimators.identity(gives=tag)
    for tag in ("point", "homography", "control_points", "gaussian_grid")
}
WRAPPED = {
    "semi_sampling": estimators.semi_sampling(estimators.categorical(), 0.5),
    "with_temperature": estimators.with_temperature(estimators.categorical(), 0.7),
}
READS = {
    "weighted_sum": ops.weighted_sum(),
    "mask": ops.mask(),
    "crop": ops.crop((2, 3)),
    "retina": ops.retina(2, scales=2),
    "affine": ops.affine((3, 2)),
    "projective": ops.projective((3, 2)),
    "thin_plate_spline": ops.thin_plate_spline((3, 2), ops.control_grid(2)),
    "gaussian_grid": ops.gaussian_grid(3),
}

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
CORES = {"vanilla": nn.SimpleCell(S), "gru": nn.GRUCell(S), "lstm": nn.OptimizedLSTMCell(S)}

_UNDERSTOOD = {"one_hot": "weights"}


def tag(estimator) -> str:
    """What a read must take to understand it."""
    return _UNDERSTOOD.get(estimator.gives, estimator.gives)
