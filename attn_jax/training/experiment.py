"""The seam between the loop and a task: all that the loop knows of what it trains."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jax import Array

from attn_jax.training.state import TrainState
from attn_jax.training.writers import Row
from attn_jax.types import PyTree

Update = Callable[[TrainState, PyTree, Array], tuple[TrainState, dict[str, Array]]]


class Figures(NamedTuple):
    """What was measured on a split.

    Attributes:
      lines: for the reader, one a figure.
      flat: {split/name: number}.
      count: how many examples.
    """

    lines: list[str]
    flat: dict[str, float]
    count: int


class Conclusion(NamedTuple):
    """A run's last measurement and what is drawn of it.

    Attributes:
      figures: on the test split.
      drawn: pictures by file name.
      page: (result.json's figures) -> report.html.
    """

    figures: Figures
    drawn: dict[str, bytes]
    page: Callable[[dict[str, Any]], str]


class Experiment(NamedTuple):
    """A config's task, ready to be trained.

    Attributes:
      data: the examples in words.
      notes: what a model must know of its data; kept with each checkpoint.
      protocol: how figures are taken, in one line.
      examples: the training split, leaves [N, ...].
      init: () -> the state before the first update.
      update: (state, examples, ids [B]) -> (state, figures).
      validation: () -> (variables -> a row of figures; "validation/error_mean" picks the best).
      measure: (state, split) -> figures.
      conclude: (state, rows of metrics.jsonl) -> the conclusion.
    """

    data: str
    notes: Mapping[str, Any]
    protocol: str
    examples: PyTree
    init: Callable[[], TrainState]
    update: Update
    validation: Callable[[], Callable[[PyTree], Row]]
    measure: Callable[[TrainState, str], Figures]
    conclude: Callable[[TrainState, list[Row]], Conclusion]
