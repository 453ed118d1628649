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

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

Key = Any  # a typed PRNG key, or an array of them
PyTree = Any


class Selection(NamedTuple):
    """What was chosen for one example; batch and time come from vmap and scan.

    Attributes:
      where: what a read receives: weights [L] or [H, W], location [2] as (x, y), theta [2, 3].
      mean: what a hard choice is made by: softmax(e), also of a relaxed one; mu of a location.
      log_prob: [], log p(where | s); 0 where nothing was sampled.
      entropy: [], of p(. | s), in nats, on every branch.
    """

    where: PyTree
    mean: PyTree
    log_prob: Array
    entropy: Array


Choose = Callable[[Key | None, PyTree], Selection]
Credit = Callable[[Selection, Array, Array], Array]


class Estimator(NamedTuple):
    """How a choice is made going forward, and credited going back.

    Attributes:
      choose: (key, proposal) -> Selection.
      greedy: the same at its mode, for evaluation without sampling.
      credit: (selection, reward, baseline) -> surrogate to *maximise*, elementwise over
        leading axes. Its gradient is this estimator's policy gradient; 0 for soft choices.
      gives: the tag of `Selection.where`: "weights", "one_hot", "point", "theta", "homography",
        "control_points" or "gaussian_grid".
    """

    choose: Choose
    greedy: Choose
    credit: Credit
    gives: str


class Read(NamedTuple):
    """What is seen at a place: a deterministic kernel on one example.

    Attributes:
      apply: (x, where) -> x'.
      takes: the tag of the `where` it understands, one of an estimator's but for "one_hot".
    """

    apply: Callable[[Array, PyTree], Array]
    takes: str


class Baseline(NamedTuple):
    """What a reward is compared with. Its state lives in the train state.

    Attributes:
      init: () -> state.
      apply: (state, reward [M, B, T], value [M, B, T] | None, mask [B, T] | None)
        -> (baseline [M, B, T], regression loss [M, B, T], new state).
      takes: what `apply` is to be given as value: "value", the head's on s_{t-1}, or "greedy", the
        reward [M, B, T] of a rollout at the estimator's mode.
    """

    init: Callable[[], PyTree]
    apply: Callable[[PyTree, Array, Array | None, Array | None], tuple[Array, Array, PyTree]]
    takes: str = "value"


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


# Which tags a read of each kind understands: a one-hot is a vector of weights.
_SMOOTH = ("point", "theta", "homography", "control_points", "gaussian_grid")
_UNDERSTOOD = {"weights": "weights", "one_hot": "weights"} | {tag: tag for tag in _SMOOTH}

# The library's members by tag, for messages; tests/contracts hold these lists to the code.
READS_BY_TAG = {
    "weights": ("weighted_sum", "mask"),
    "point": ("crop", "retina"),
    "theta": ("affine",),
    "homography": ("projective",),
    "control_points": ("thin_plate_spline",),
    "gaussian_grid": ("gaussian_grid",),
}
ESTIMATORS_BY_TAG = {
    "weights": (
        "expectation",
        "sparsemax",
        "categorical",
        "gumbel_softmax",
        "straight_through",
        "straight_through_gumbel",
        "uniform",
    ),
    "point": (
        "gaussian",
        "pathwise_gaussian",
        "random_point",
        "fixed_point",
        "identity(gives='point')",
    ),
    "theta": ("identity", "fixed_transform"),
    "homography": ("identity(gives='homography')",),
    "control_points": ("identity(gives='control_points')",),
    "gaussian_grid": ("identity(gives='gaussian_grid')",),
}


def check_fit(estimator: Estimator, read: Read) -> None:
    """Refuse an estimator whose choice the read does not understand.

    Raises:
      ValueError: naming what is given, what is taken, and the members that fit.
    """
    given = _UNDERSTOOD.get(estimator.gives)
    if given is None:
        raise ValueError(
            f"estimator.gives must be one of {sorted(_UNDERSTOOD)}; got {estimator.gives!r}"
        )
    if read.takes not in READS_BY_TAG:
        raise ValueError(f"read.takes must be one of {sorted(READS_BY_TAG)}; got {read.takes!r}")
    if given != read.takes:
        raise ValueError(
            f"the estimator gives {estimator.gives!r}, but the read takes {read.takes!r}; "
            f"reads that take {given!r}: {', '.join(READS_BY_TAG[given])}; "
            f"estimators that give {read.takes!r}: {', '.join(ESTIMATORS_BY_TAG[read.takes])}"
        )
