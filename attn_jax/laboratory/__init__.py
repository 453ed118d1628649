"""The estimator laboratory: bias, variance and cost, on problems whose gradient is known."""

from attn_jax.laboratory.estimates import enumeration, rebar
from attn_jax.laboratory.measure import Measured, measure, of_problem
from attn_jax.laboratory.problems import Problem, Rollout, choices, point
from attn_jax.laboratory.table import PROBLEMS, Row, rows

__all__ = [
    "PROBLEMS",
    "Measured",
    "Problem",
    "Rollout",
    "Row",
    "choices",
    "enumeration",
    "measure",
    "of_problem",
    "point",
    "rebar",
    "rows",
]
