"""The candidates of the laboratory's table: every estimator with every baseline on a problem."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from jax import Array

from attn_jax.baselines import BASELINES, learned_value
from attn_jax.estimators import MEMBERS, categorical, semi_sampling
from attn_jax.laboratory.estimates import ChoiceReward, enumeration, rebar
from attn_jax.laboratory.measurement import Estimate, objective_gradient
from attn_jax.laboratory.problems import Problem, choice_problem, point_problem
from attn_jax.losses import score_function
from attn_jax.types import Estimator, Key

SIGMA = 0.3
TAU = 1.0
COLDER = {"gumbel_softmax": (0.3,)}  # a second tau, which shows bias traded for variance
ROLLOUTS = (1, 4)
WITHOUT_GRADIENT = ("uniform", "random_point", "fixed_point")  # controls ignore the proposal
UNBIASED_WITHOUT_CREDIT = ("pathwise_gaussian",)
STATE_AFTER = "value of s_t (wrong)"  # a baseline that has seen the choice it is compared with


@runtime_checkable
class MakeProblem(Protocol):
    """Makes a problem, and its exact gradient, which takes seconds."""

    def __call__(self) -> Problem: ...


@runtime_checkable
class ChoiceEstimate(Protocol):
    """Estimates the gradient [L] of E[reward] by scores [L]."""

    def __call__(self, key: Key, scores: Array, reward: ChoiceReward, /) -> Array: ...


PROBLEMS: Mapping[str, MakeProblem] = {
    "one of 5 items": lambda: choice_problem((5,), 1),
    "5 items, twice": lambda: choice_problem((5,), 2),
    "one of 3x3 places": lambda: choice_problem((3, 3), 1),
    "3x3 places, twice": lambda: choice_problem((3, 3), 2),
    "one point": lambda: point_problem(SIGMA),
}
# Estimates of a single choice, which evaluate its reward more than once.
OF_ONE_CHOICE: Mapping[str, ChoiceEstimate] = {"enumeration": enumeration, "rebar": rebar}


class Candidate(NamedTuple):
    """A gradient estimate to be measured, and what it is made of.

    Attributes:
      estimator: its name, with tau where it has one.
      baseline: its name; "-" where there is none.
      rollouts: M, how many one estimate averages.
      estimate: (key) -> gradient.
      unbiased: whether it is so in theory.
    """

    estimator: str
    baseline: str
    rollouts: int
    estimate: Estimate
    unbiased: bool


def candidates(problem: Problem) -> Iterator[Candidate]:
    """Yield every gradient estimate that can be measured on a problem."""
    for name, estimator in _members(problem).items():
        if estimator.credit is score_function:
            yield from _with_each_baseline(name, estimator, problem)
        else:
            unbiased = name in UNBIASED_WITHOUT_CREDIT
            yield from _with_one_baseline(name, "-", estimator, problem, unbiased)
    if problem.scores:
        half = semi_sampling(categorical(), 0.5)
        yield from _with_one_baseline("semi_sampling(0.5)", "learned_value", half, problem, False)
    if problem.reward is not None:
        yield from _of_one_choice(problem, problem.reward)


def _members(problem: Problem) -> dict[str, Estimator]:
    """The members that fit a problem, by the name that the table gives them."""
    fitting = {}
    for name, member in MEMBERS.items():
        if member.gives not in problem.gives or name in WITHOUT_GRADIENT:
            continue
        if member.spread == "tau":
            taus = TAU, *COLDER.get(name, ())
            fitting |= {f"{name}({tau:g})": member.make(tau) for tau in taus}
        else:
            fitting[name] = member.make(SIGMA)
    return fitting


def _with_each_baseline(name: str, estimator: Estimator, problem: Problem) -> Iterator[Candidate]:
    for compared, make in BASELINES.items():
        for rollouts in ROLLOUTS:
            if rollouts > 1 or compared != "leave_one_out":
                estimate = objective_gradient(problem, estimator, make(), rollouts)
                yield Candidate(name, compared, rollouts, estimate, True)
    estimate = objective_gradient(problem, estimator, learned_value(), value=lambda r: r.after)
    yield Candidate(name, STATE_AFTER, 1, estimate, False)


def _with_one_baseline(
    name: str, compared: str, estimator: Estimator, problem: Problem, unbiased: bool
) -> Iterator[Candidate]:
    for rollouts in ROLLOUTS:
        estimate = objective_gradient(problem, estimator, learned_value(), rollouts)
        yield Candidate(name, compared, rollouts, estimate, unbiased)


def _of_one_choice(problem: Problem, reward: ChoiceReward) -> Iterator[Candidate]:
    (scores,) = problem.parameters
    for name, of_items in OF_ONE_CHOICE.items():

        def estimate(key: Key, of_items: ChoiceEstimate = of_items) -> Array:
            return of_items(key, scores.ravel(), lambda where: reward(where.reshape(scores.shape)))

        yield Candidate(name, "-", 1, estimate, True)
