"""The protocol every mechanism follows, and the letters of the shapes.

    propose (learned: where might I look?) -> choose (the only randomness) -> read (a kernel)

The letters used in every annotation of the library:

    B  examples in a batch        H W  rows and columns of an image or a map
    T  steps of the recurrence    C    channels of an image, or classes
    M  Monte-Carlo rollouts       L    items (annotations)
    D  features of an item        S    features of the state
    h w  rows and columns read    k    scales of a retina
    d    planes read              K    control points of a spline
    N    samples a side of a Gaussian grid

Coordinates are (x, y), x along the width, in [-1, 1]; the first row is at y = -1.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from jax import Array
from jax.typing import ArrayLike

Key = Any  # a typed PRNG key, or an array of them
PyTree = Any

# A read takes a `where` of this kind; `Selection.where` has the shape that belongs to the tag.
Tag = Literal["weights", "point", "theta", "homography", "control_points", "gaussian_grid"]
# An estimator gives a `where` of this kind; a one-hot is read as weights.
Given = Literal[
    "weights", "one_hot", "point", "theta", "homography", "control_points", "gaussian_grid"
]


class Selection(NamedTuple):
    """What was chosen for one example; batch and time come from vmap and scan.

    Attributes:
      where: what a read receives: weights [L] or [H, W], location [2] as (x, y), theta [2, 3].
      mean: the centre of a hard choice: softmax(e), also of a relaxed one; mu of a location.
      log_prob: [], log p(where | s); 0 where nothing was sampled.
      entropy: [], the entropy of p(. | s) in nats; that of the weights where nothing was sampled.
    """

    where: PyTree
    mean: PyTree
    log_prob: Array
    entropy: Array


@runtime_checkable
class Choose(Protocol):
    """Chooses for one example; the key is None where nothing is sampled."""

    def __call__(self, key: Key | None, proposal: PyTree, /) -> Selection: ...


@runtime_checkable
class Credit(Protocol):
    """Gives the surrogate [...] to maximise, elementwise over rewards and baselines [...]."""

    def __call__(self, selection: Selection, reward: Array, baseline: Array, /) -> Array: ...


class Estimator(NamedTuple):
    """How a choice is made going forward, and credited going back.

    Attributes:
      choose: (key, proposal) -> Selection.
      greedy: the same at its mode, for evaluation without sampling.
      credit: (selection, reward, baseline) -> surrogate to *maximise*, elementwise over
        leading axes. Its gradient is this estimator's policy gradient; 0 for soft choices.
      gives: the tag of `Selection.where`.
    """

    choose: Choose
    greedy: Choose
    credit: Credit
    gives: Given

    def at_mode(self) -> "Estimator":
        """The same estimator with `greedy` as its `choose`, so that nothing is sampled.

        Exception: `random_point` has no mode; it still draws its location.
        """
        return self._replace(choose=self.greedy)


@runtime_checkable
class ReadApply(Protocol):
    """Reads one example x at `where`, and gives the glimpse x'."""

    def __call__(self, x: ArrayLike, where: PyTree, /) -> Array: ...


@dataclass(frozen=True)
class Read:
    """A deterministic kernel that reads one example at a place; it can be called.

    Attributes:
      apply: (x, where) -> x'.
      takes: the tag of the `where` that it takes; "weights" includes a one-hot.
    """

    apply: ReadApply
    takes: Tag

    def __call__(self, x: ArrayLike, where: PyTree, /) -> Array:
        """Read one example: `apply`."""
        return self.apply(x, where)


@runtime_checkable
class BaselineInit(Protocol):
    """Makes the first state of a baseline."""

    def __call__(self) -> PyTree: ...


@runtime_checkable
class BaselineApply(Protocol):
    """Compares rewards [M, B, T] with what was expected, and updates the baseline's state.

    The result is (baseline [M, B, T], regression loss [M, B, T], new state). `value` is what
    `Baseline.takes` names, or None; `mask` says which of the steps count, None for all.
    """

    def __call__(
        self, state: PyTree, reward: Array, value: Array | None, mask: Array | None, /
    ) -> tuple[Array, Array, PyTree]: ...


class Baseline(NamedTuple):
    """What a reward is compared with. Its state lives in the train state.

    Attributes:
      init: () -> state.
      apply: (state, reward [M, B, T], value [M, B, T] | None, mask [B, T] | None)
        -> (baseline [M, B, T], regression loss [M, B, T], new state).
      takes: what `apply` receives as value: "value", the value head's estimate from s_{t-1}, or
        "greedy", the reward [M, B, T] of a rollout at the estimator's mode.
    """

    init: BaselineInit
    apply: BaselineApply
    takes: Literal["value", "greedy"] = "value"


class Trace(NamedTuple):
    """What a rollout leaves behind. Leaves are [B, T, ...].

    Attributes:
      before: s_{t-1}: what was known when the choice was made. Baselines read this.
      state: s_t: for heads.
      glimpse: x'_t, what was read.
      selection: where, and how likely.
    """

    before: PyTree
    state: PyTree
    glimpse: Array
    selection: Selection
