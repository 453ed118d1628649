"""The mechanism of a config: its section, and the estimator and read made of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import optax

from attn_jax import estimators, ops
from attn_jax.errors import pick
from attn_jax.estimators import CONTROLS, MEMBERS, MakeEstimator
from attn_jax.fields import construct, field, section
from attn_jax.fit import check_fit
from attn_jax.modules import SCORES
from attn_jax.training.optimizer import Schedule
from attn_jax.types import Estimator, Read


@section
class Mechanism:
    """x'_t = f_att(x_t, s_{t-1}): how a place is chosen. A system adds which reads fit."""

    policy: str = field("learned, or the name of a control, which ignores the proposal")
    estimator: str = field("how a choice is made and credited", names=MEMBERS)
    spread: float = field(
        "sigma of a point in location units, tau of a relaxed choice; else unused", above=0
    )
    spread_end: float = field("linear from spread to here; 0: constant", least=0)
    detach: bool = field("whether the proposal's gradient stops before the core")


@section
class ScoredMechanism(Mechanism):
    """A mechanism that may choose by scores of items or places."""

    coin: float = field(
        "probability of sampling, else the expectation; 0: no coin", least=0, below=1
    )
    temperature: float = field("scores are divided by it", above=0)
    scores: str = field("how items or places are scored", names=SCORES)


class Attention(NamedTuple):
    """A mechanism, made of its section.

    Attributes:
      estimator: (spread) -> the estimator that is trained.
      spread: (step) -> the spread; None where no spread acts.
      first, final: estimators with the spread that training begins and ends with; `final` is
        measured, drawn and asked.
      read: what is seen at a place.
      controls: policies that it is measured beside, by name.
    """

    estimator: MakeEstimator
    spread: Schedule | None
    first: Estimator
    final: Estimator
    read: Read
    controls: Mapping[str, Estimator]

    def at(self, step: Any) -> tuple[Estimator, dict[str, Any]]:
        """The estimator of a training step, and the figures that tell its spread."""
        if self.spread is None:
            return self.first, {}
        spread = self.spread(step)
        return self.estimator(spread), {"spread": spread}


def make_attention(mechanism: Any, steps: int) -> Attention:
    """The estimator and the read that a section names, checked to fit.

    Args:
      mechanism: a `Mechanism` with a field `read` and the arguments of that read.
      steps: of training, over which the spread goes to its end.

    Raises:
      ValueError: for a control of another kind, or a misfit; one line.
    """
    read = make_read(mechanism)
    make = _maker(mechanism, read)
    first = make(mechanism.spread)
    try:
        check_fit(first, read)
    except ValueError as error:
        raise ValueError(f"{mechanism.estimator} does not fit {mechanism.read}: {error}") from error
    end = mechanism.spread_end or mechanism.spread
    learned = getattr(mechanism, "learn_spread", False)
    acts = mechanism.policy == "learned" and MEMBERS[mechanism.estimator].spread and not learned
    return Attention(
        estimator=make,
        spread=optax.linear_schedule(mechanism.spread, end, steps) if acts else None,
        first=first,
        final=make(end),
        read=read,
        controls=CONTROLS[read.takes],
    )


def make_read(mechanism: Any) -> Read:
    """The read that a section names, with the section's arguments."""
    fixed: dict[str, Any] = {}
    if hasattr(mechanism, "unit"):
        fixed["unit"] = mechanism.unit or None
    if mechanism.read == "affine":
        # Not native: a run goes on bit for bit, whether or not a library was built meanwhile.
        fixed["implementation"] = "xla"
    make = ops.READS[mechanism.read].make
    return construct(make, mechanism, **fixed)


def _maker(mechanism: Any, read: Read) -> MakeEstimator:
    """(spread) -> the section's estimator, or its control."""
    if mechanism.policy != "learned":
        named = pick({"learned": None, **CONTROLS[read.takes]}, mechanism.policy, _POLICY)
        assert named is not None  # "learned" was excluded above
        return lambda spread: named
    member, learned = MEMBERS[mechanism.estimator], getattr(mechanism, "learn_spread", False)
    coin, tau = getattr(mechanism, "coin", 0.0), getattr(mechanism, "temperature", 1.0)
    if learned and not member.learnable:
        able = " and ".join(name for name, one in MEMBERS.items() if one.learnable)
        raise ValueError(f"mechanism.learn_spread is for {able}; got {mechanism.estimator}")

    def make(spread: Any) -> Estimator:
        one = member.make(None if learned else spread)
        one = one if tau == 1 else estimators.with_temperature(one, tau)
        return estimators.semi_sampling(one, coin) if coin else one

    return make


_POLICY = "mechanism.policy"


def check_dot(scores: str, core_widths: tuple[int, ...], items: int) -> None:
    """Refuse dot products of items with a state of another width.

    Raises:
      ValueError: naming both widths.
    """
    if scores == "dot" and core_widths[-1] != items:
        raise ValueError(
            f"mechanism.scores=dot needs a state as wide as an item, {items}; "
            f"got model.core_widths={core_widths}"
        )
