"""The tables of the estimators: all by name, and the controls by the tag that a read takes."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from attn_jax.estimators.common import Number
from attn_jax.estimators.controls import fixed_point, fixed_transform, random_point, uniform
from attn_jax.estimators.hard import categorical, gaussian
from attn_jax.estimators.relaxed import (
    gumbel_softmax,
    pathwise_gaussian,
    straight_through,
    straight_through_gumbel,
)
from attn_jax.estimators.smooth import expectation, identity, sparsemax
from attn_jax.types import Estimator, Given, Tag


@runtime_checkable
class MakeEstimator(Protocol):
    """Makes an estimator of a spread, which may be traced."""

    def __call__(self, spread: Number | None, /) -> Estimator: ...


class Member(NamedTuple):
    """An estimator that can be named.

    Attributes:
      make: (spread) -> Estimator. The spread is sigma of a point or tau of a relaxed choice of
        items, and may be traced; members that have neither ignore it.
      gives: the tag of what it chooses.
      spread: which of the two the spread is; None where it is ignored.
      learnable: whether sigma can be learned: `make(None)` then takes proposals (mu, sigma).
    """

    make: MakeEstimator
    gives: Given
    spread: Literal["sigma", "tau"] | None = None
    learnable: bool = False


# A new estimator is a row here; messages, tests, laboratory and configs follow this table.
MEMBERS: Mapping[str, Member] = {
    "gaussian": Member(gaussian, "point", "sigma", learnable=True),
    "pathwise_gaussian": Member(pathwise_gaussian, "point", "sigma", learnable=True),
    "random_point": Member(lambda spread: random_point(), "point"),
    "fixed_point": Member(lambda spread: fixed_point(), "point"),
    "categorical": Member(lambda spread: categorical(), "one_hot"),
    "expectation": Member(lambda spread: expectation(), "weights"),
    "sparsemax": Member(lambda spread: sparsemax(), "weights"),
    "gumbel_softmax": Member(lambda spread: gumbel_softmax(spread), "weights", "tau"),
    "straight_through": Member(lambda spread: straight_through(spread), "one_hot", "tau"),
    "straight_through_gumbel": Member(
        lambda spread: straight_through_gumbel(spread), "one_hot", "tau"
    ),
    "uniform": Member(lambda spread: uniform(), "weights"),
    "identity": Member(lambda spread: identity(), "theta"),
    "fixed_transform": Member(lambda spread: fixed_transform(), "theta"),
}

# Control policies, by the tag that the read takes.
CONTROLS: Mapping[Tag, Mapping[str, Estimator]] = {
    "point": {"random": random_point(), "center": fixed_point()},
    "weights": {"uniform": uniform()},
    "theta": {"identity": fixed_transform()},
}
