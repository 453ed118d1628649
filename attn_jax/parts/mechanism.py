"""The mechanism of a config: its section, and the estimator and read made of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import optax

from attn_jax import estimators
from attn_jax.errors import check_name
from attn_jax.estimators import CONTROLS, MEMBERS, MakeEstimator
from attn_jax.fields import construct, field, section
from attn_jax.fit import check_fit
from attn_jax.modules import SCORES
from attn_jax.ops import READS
from attn_jax.training.optimizer import Schedule
from attn_jax.types import Estimator, Read

_CONTROLS = tuple(dict.fromkeys(name for named in CONTROLS.values() for name in named))


@section
class Mechanism:
    """x'_t = f_att(x_t, s_{t-1}): how a place is chosen. A system adds the reads that fit."""

    policy: str = field(
        "learned, or a control that ignores the proposal", names=("learned", *_CONTROLS)
    )
    estimator: str = field("how a choice is made and credited", names=MEMBERS)
    spread: float = field(
        "sigma of a point in location units, tau of a relaxed choice; else unused", above=0
    )
    spread_end: float = field("linear from spread to here; 0: constant", least=0)
    detach: bool = field("whether the proposal's gradient stops before the core")
    read: str = field("what is seen where the choice fell", names=READS)

    def wrap(self, estimator: Estimator) -> Estimator:
        """The estimator of a member, changed by what a kind of mechanism adds."""
        return estimator

    @property
    def learned_spread(self) -> bool:
        """Whether the spread is the network's to change."""
        return False


@section
class SpreadMechanism(Mechanism):
    """A mechanism over points, whose sigma may be learned."""

    learn_spread: bool = field("whether sigma starts at spread and is the network's to change")

    @property
    def learned_spread(self) -> bool:
        """Whether the spread is the network's to change."""
        return self.learn_spread


@section
class ScoredMechanism(Mechanism):
    """A mechanism over scores of items or places."""

    coin: float = field(
        "probability of sampling, else the expectation; 0: no coin", least=0, below=1
    )
    temperature: float = field("number that scores are divided by", above=0)
    scores: str = field("how items or places are scored", names=SCORES)

    def wrap(self, estimator: Estimator) -> Estimator:
        """The estimator on scores / temperature, sampled where the coin falls heads."""
        if self.temperature != 1:
            estimator = estimators.with_temperature(estimator, self.temperature)
        return estimators.semi_sampling(estimator, self.coin) if self.coin else estimator


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


def make_attention(mechanism: Mechanism, steps: int, **options: Any) -> Attention:
    """The estimator and the read that a section names, checked to fit.

    Args:
      mechanism: the section; the read takes the fields that its constructor names.
      steps: of training, over which the spread goes to its end.
      **options: arguments of the read in the place of fields.

    Raises:
      ValueError: for a control of another kind, or a misfit; one line.
    """
    if mechanism.read == "affine":
        # Not native: a run goes on bit for bit, whether or not a library was built meanwhile.
        options["implementation"] = "xla"
    read = construct(READS[mechanism.read].make, mechanism, **options)
    make, member = _maker(mechanism, read), MEMBERS[mechanism.estimator]
    first = make(mechanism.spread)
    try:
        check_fit(first, read)
    except ValueError as error:
        raise ValueError(f"{mechanism.estimator} does not fit {mechanism.read}: {error}") from error
    end = mechanism.spread_end or mechanism.spread
    acts = mechanism.policy == "learned" and member.spread and not mechanism.learned_spread
    return Attention(
        estimator=make,
        spread=optax.linear_schedule(mechanism.spread, end, steps) if acts else None,
        first=first,
        final=make(end),
        read=read,
        controls=CONTROLS.get(read.takes, {}),
    )


def _maker(mechanism: Mechanism, read: Read) -> MakeEstimator:
    """(spread) -> the section's estimator, or its control."""
    controls = CONTROLS.get(read.takes, {})
    if mechanism.policy != "learned":
        check_name("mechanism.policy", mechanism.policy, ["learned", *controls])
        return lambda spread: controls[mechanism.policy]
    member, learned = MEMBERS[mechanism.estimator], mechanism.learned_spread
    if learned and not member.learnable:
        able = " and ".join(name for name, one in MEMBERS.items() if one.learnable)
        raise ValueError(f"mechanism.learn_spread is for {able}; got {mechanism.estimator}")
    return lambda spread: mechanism.wrap(member.make(None if learned else spread))


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
