"""Every estimator with every baseline on every problem: the rows of the laboratory's table."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from attn_jax import baselines, estimators
from attn_jax.laboratory.estimates import enumeration, rebar
from attn_jax.laboratory.measure import Estimate, of_problem
from attn_jax.laboratory.problems import Problem, choices, point
from attn_jax.types import Baseline, Estimator

SIGMA = 0.3

PROBLEMS: Mapping[str, Callable[[], Problem]] = {
    "one of 5 items": lambda: choices((5,), 1),
    "5 items, twice": lambda: choices((5,), 2),
    "one of 3x3 places": lambda: choices((3, 3), 1),
    "3x3 places, twice": lambda: choices((3, 3), 2),
    "one point": lambda: point(SIGMA),
}
CREDITED: Mapping[str, Estimator] = {
    "categorical": estimators.categorical(),
    "gaussian": estimators.gaussian(SIGMA),
}
BASELINES: Mapping[str, Baseline] = {
    "zero": baselines.zero(),
    "moving_average": baselines.moving_average(),
    "learned_value": baselines.learned_value(),
    "self_critical": baselines.self_critical(),
    "leave_one_out": baselines.leave_one_out(),
}
OTHERS: Mapping[str, Estimator] = {
    "expectation": estimators.expectation(),
    "sparsemax": estimators.sparsemax(),
    "gumbel_softmax(1)": estimators.gumbel_softmax(1.0),
    "gumbel_softmax(0.3)": estimators.gumbel_softmax(0.3),
    "straight_through(1)": estimators.straight_through(1.0),
    "straight_through_gumbel(1)": estimators.straight_through_gumbel(1.0),
    "semi_sampling(0.5)": estimators.semi_sampling(estimators.categorical(), 0.5),
    "pathwise_gaussian": estimators.pathwise_gaussian(SIGMA),
}
SINGLE = {"enumeration": enumeration, "rebar": rebar}
WRONG = "value of s_t (wrong)"
ROLLOUTS = (1, 4)


class Row(NamedTuple):
    """One cell: its name, and the estimate that is measured.

    Attributes:
      estimator, baseline, rollouts: what it is made of.
      estimate: (key) -> gradient.
      unbiased: whether theory says so.
    """

    estimator: str
    baseline: str
    rollouts: int
    estimate: Estimate
    unbiased: bool


def rows(problem: Problem) -> Iterator[Row]:
    """What can be measured on a problem."""
    for name, estimator in CREDITED.items():
        if _fits(estimator, problem):
            for compared, baseline in BASELINES.items():
                for m in ROLLOUTS:
                    if m > 1 or compared != "leave_one_out":
                        cell = of_problem(problem, estimator, baseline, m)
                        yield Row(name, compared, m, cell, True)
            biased = partial(of_problem, value=lambda rollout: rollout.after)
            cell = biased(problem, estimator, baselines.learned_value(), 1)
            yield Row(name, WRONG, 1, cell, False)
    for name, estimator in OTHERS.items():
        if _fits(estimator, problem):
            compared = "learned_value" if name.startswith("semi") else "-"
            for m in ROLLOUTS:
                cell = of_problem(problem, estimator, baselines.learned_value(), m)
                yield Row(name, compared, m, cell, name == "pathwise_gaussian")
    if problem.follows is not None:
        (scores,) = problem.parameters
        flat = scores.ravel()
        for name, estimate in SINGLE.items():
            yield Row(name, "-", 1, _alone(estimate, flat, scores.shape, problem), True)


def _alone(estimate: Callable, flat, shape: tuple[int, ...], problem: Problem) -> Estimate:
    follows = problem.follows
    assert follows is not None
    return lambda key: estimate(key, flat, lambda where: follows(where.reshape(shape)))


def _fits(estimator: Estimator, problem: Problem) -> bool:
    return (estimator.gives != "point") == problem.scores
