"""The seam between the engine and what it trains: all that the engine knows of a system."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array

from attn_jax import viz
from attn_jax.records import Row
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.types import Key, PyTree


@runtime_checkable
class Loss(Protocol):
    """The loss of a batch, differentiated by `params` alone."""

    def __call__(
        self, params: PyTree, batch: PyTree, key: Key, step: Array, carried: PyTree
    ) -> tuple[Array, tuple[dict[str, Array], PyTree]]:
        """Return (loss, (figures by name, the carried state of the next update)).

        A figure that is not finite ends the run.
        """


class Learner(NamedTuple):
    """A system's part of an update: pure functions, traced into one program.

    Attributes:
      init: (key) -> (params, carried). Params are differentiated; carried is whatever else
        changes: a baseline's state, batch statistics, an environment's state.
      batch: (resident, fed, key) -> a batch, leaves [B, ...], made on the device.
      loss: of that batch.
      rates: name of a module -> what the learning rate of its parameters is multiplied by.
    """

    init: Callable[[Key], tuple[PyTree, PyTree]]
    batch: Callable[[PyTree, PyTree, Key], PyTree]
    loss: Loss
    rates: Mapping[str, float] = MappingProxyType({})


@runtime_checkable
class Feed(Protocol):
    """Gives the data of the next updates, as a pure function of its arguments."""

    def __call__(self, step: int, count: int) -> PyTree:
        """For steps `step` to `step + count - 1`: NumPy leaves [count, B / processes, ...].

        Each process gives its own part of every batch. Called on a thread, one call ahead.
        """


class Best(NamedTuple):
    """The figure that picks the checkpoint to keep and to test.

    Attributes:
      figure: its name, such as "validation/loss".
      lower: whether a lower one is better.
    """

    figure: str
    lower: bool = True


class Figures(NamedTuple):
    """What was measured on a split.

    Attributes:
      lines: one line of text for each figure, with percent where it is a fraction.
      flat: {split/name: number}; fractions, not percent.
      count: how many examples.
    """

    lines: list[str]
    flat: dict[str, float]
    count: int


class Conclusion(NamedTuple):
    """A run's last measurement, and the report of it.

    The engine adds how the run learned and how it was made, and renders the page.

    Attributes:
      figures: on the test split.
      title: the page's title.
      summary: (what, value) pairs for the top of the page.
      sections: of the page.
      pictures: PNG and GIF files by name.
    """

    figures: Figures
    title: str
    summary: Sequence[tuple[str, str]]
    sections: Sequence[viz.Section]
    pictures: Mapping[str, bytes]


class History(NamedTuple):
    """Numbers kept of the state at each validation, which are drawn when the run ends.

    Attributes:
      keep: (state) -> a row of numbers, some hundreds at most.
      draw: (the rows, each with its "step") -> pictures by file name; of damaged rows alone {}.
    """

    keep: Callable[[TrainState], Row]
    draw: Callable[[Sequence[Row]], Mapping[str, viz.Picture]]


class Experiment(NamedTuple):
    """A system and its data, ready to be trained.

    Attributes:
      data: the examples in words.
      protocol: how figures are taken, in one line.
      facts: what a model must know of its data, plain JSON; kept with each checkpoint.
      learner: the system's pure functions.
      resident: arrays that stay on the devices; () for streams.
      feed: what each call of the update is handed.
      validate: (state) -> a row of figures, `best.figure` among them.
      best: what a better checkpoint is.
      shown: names of figures that progress lines show.
      measure: (state, split) -> figures.
      conclude: (state) -> the conclusion.
      watch: (a row of a call's mean figures) -> warnings, one line each, by kind. The first of
        each kind is printed, and kept in the result and the report.
      history: what is drawn of the whole training, where pictures are made; None: nothing.
    """

    data: str
    protocol: str
    facts: Mapping[str, Any]
    learner: Learner
    resident: PyTree
    feed: Feed
    validate: Callable[[TrainState], Row]
    best: Best
    shown: Sequence[str]
    measure: Callable[[TrainState, str], Figures]
    conclude: Callable[[TrainState], Conclusion]
    watch: Callable[[Row], Mapping[str, str]] = lambda row: {}
    history: History | None = None


class Model(NamedTuple):
    """A system's model without its data.

    Attributes:
      learner: whose `init` gives parameters of the right shapes.
      module: the Flax module, choosing at its mode.
      variables: (params, carried) -> the module's variables.
      apply: (variables, x, key) -> outputs of one rollout at the mode.
    """

    learner: Learner
    module: Any
    variables: Callable[[PyTree, PyTree], PyTree]
    apply: Callable[[PyTree, Array, Key], Any]


@runtime_checkable
class Answer(Protocol):
    """A model's answer to one file or text of the user's."""

    @property
    def line(self) -> str:
        """The answer in one line."""
        ...

    @property
    def record(self) -> Mapping[str, Any]:
        """The answer as plain data, or {"file": …, "refused": why}."""
        ...


class System(NamedTuple):
    """One application: a row of systems.SYSTEMS.

    Attributes:
      sections: the dataclass that its config is read into.
      config: the path of a shipped config, named in messages about missing fields.
      prepare: (sections) -> the experiment; raises ValueError, TypeError, OSError or
        ModuleNotFoundError with one line.
      rebuild: (sections, facts) -> the model.
      ask: (sections, facts, variables, paths or texts) -> an answer each, and a PNG.
      prepare_other: (sections, facts of a run) -> the experiment that measures the run on other
        data, which the sections name; None if there are no other data.
    """

    sections: type[Settings]
    config: str
    prepare: Callable[[Any], Experiment]
    rebuild: Callable[[Any, Mapping[str, Any]], Model]
    ask: Callable[[Any, Mapping[str, Any], PyTree, Sequence[str]], tuple[Sequence[Answer], bytes]]
    prepare_other: Callable[[Any, Mapping[str, Any]], Experiment] | None = None
