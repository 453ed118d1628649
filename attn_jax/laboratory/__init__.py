"""The estimator laboratory: bias, variance and cost of gradient estimates, on exact problems."""

from attn_jax.laboratory.estimates import ChoiceReward, enumeration, rebar
from attn_jax.laboratory.measurement import Estimate, Measurement, measure, objective_gradient
from attn_jax.laboratory.problems import Problem, Rollout, choice_problem, point_problem
from attn_jax.laboratory.table import PROBLEMS, Candidate, candidates

__all__ = [
    "PROBLEMS",
    "Candidate",
    "ChoiceReward",
    "Estimate",
    "Measurement",
    "Problem",
    "Rollout",
    "candidates",
    "choice_problem",
    "enumeration",
    "measure",
    "objective_gradient",
    "point_problem",
    "rebar",
]
