"""Learners whose choices are credited: the section, the wiring, and the loss made of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.baselines import BASELINES
from attn_jax.fields import field, section
from attn_jax.models import Outputs
from attn_jax.parts.mechanism import Attention
from attn_jax.tasks import REWARDS, Reward, Weights, rollouts
from attn_jax.training.experiment import Learner
from attn_jax.training.settings import Train
from attn_jax.types import Baseline, Estimator, Key, PyTree


@section
class CreditedTrain(Train):
    """The engine's section, and how choices are rewarded."""

    rollouts: int = field("Monte-Carlo rollouts of each example, M", least=1)
    baseline: str = field("what a reward is compared with", names=BASELINES)
    reward: str = field("reward of an answer", names=REWARDS)
    policy_weight: float = field("weight of the credit in the loss", least=0)
    value_weight: float = field("weight of the baseline's regression in the loss", least=0)
    entropy_weight: float = field("weight of the entropy bonus", least=0)

    def __post_init__(self) -> None:
        if self.baseline == "leave_one_out" and self.rollouts < 2:
            raise ValueError(
                "train.baseline=leave_one_out needs train.rollouts of at least 2; got 1"
            )


@runtime_checkable
class MakeModel(Protocol):
    """Makes a model that chooses by `estimator`, and at first by `start` if it is given."""

    def __call__(self, estimator: Estimator, start: Estimator | None) -> Any:
        """The Flax module, a `RecurrentClassifier` or of its form."""
        ...


class Wiring(NamedTuple):
    """A mechanism and the model around it.

    Attributes:
      attention: the mechanism.
      start: how the first glimpse is placed; None: as any other.
      model: makes the model.
      steps: T, choices in a rollout.
      dummy_input: the shape of an input [1, ...], to make parameters with.
    """

    attention: Attention
    start: Estimator | None
    model: MakeModel
    steps: int
    dummy_input: jax.ShapeDtypeStruct

    def at_mode(self) -> Any:
        """The model that is measured, drawn and of."""
        return self.model(self.attention.final.at_mode(), self.start)


class Query(NamedTuple):
    """A batch as rollouts and the objective take it.

    Attributes:
      x: the inputs [B, ...].
      targets: the right answers, as the objective takes them.
      ids: [B], names of the examples, which keys are folded from.
      inputs: [B, T, ...], joined in one a step; None if there are none.
      answers: the steps that are graded.
    """

    x: Array
    targets: Array
    ids: Array
    inputs: Array | None = None
    answers: slice = slice(None)


@runtime_checkable
class Objective(Protocol):
    """An objective of `tasks`, such as `tasks.objective`."""

    def __call__(
        self,
        outputs: Outputs,
        targets: Array,
        *,
        estimator: Estimator,
        baseline: Baseline,
        baseline_state: PyTree,
        reward: Reward,
        weights: Weights,
        greedy: Outputs | None,
    ) -> tuple[Array, tuple[dict[str, Array], PyTree]]:
        """(loss, (figures, state of the baseline))."""
        ...


def make_learner(
    wiring: Wiring,
    train: CreditedTrain,
    objective: Objective,
    batch: Callable[[PyTree, PyTree, Key], PyTree],
    query: Callable[[PyTree], Query],
) -> Learner:
    """The learner of any mechanism: one objective, whose credit is zero where attention is soft.

    Args:
      wiring: the mechanism and its model.
      train: rollouts, baseline, reward, weights.
      objective: of the rollouts.
      batch: of `Learner`.
      query: that batch as the objective takes it.
    """
    attention, baseline = wiring.attention, BASELINES[train.baseline]()
    weights = Weights(train.policy_weight, train.value_weight, train.entropy_weight)

    def init(key: Key) -> tuple[PyTree, PyTree]:
        keys = jax.random.split(key, (1, wiring.steps))
        module = wiring.model(attention.first, wiring.start)

        # Compiled, so that the forward pass, which nothing reads, is not even run.
        @jax.jit
        def made(key: Key, keys: Key) -> PyTree:
            zeros = jnp.zeros(wiring.dummy_input.shape, wiring.dummy_input.dtype)
            return module.init(key, zeros, keys)["params"]

        return made(key, keys), baseline.init()

    def loss(
        params: PyTree, batch: PyTree, key: Key, step: Array, carried: PyTree
    ) -> tuple[Array, tuple[dict[str, Array], PyTree]]:
        of = query(batch)
        # Made inside the update: the spread is traced, so its schedule never retraces.
        estimator, spread = attention.at(step)

        def rolled(estimator: Estimator, count: int) -> Outputs:
            model = wiring.model(estimator, wiring.start)
            return rollouts(
                model, {"params": params}, of.x, key, of.ids, count, of.inputs,
                of.answers,
            )  # fmt: skip

        greedy = baseline.takes == "greedy"
        value, (figures, state) = objective(
            rolled(estimator, train.rollouts),
            of.targets,
            estimator=estimator,
            baseline=baseline,
            baseline_state=carried,
            reward=REWARDS[train.reward],
            weights=weights,
            greedy=rolled(estimator.at_mode(), 1) if greedy else None,
        )
        return value, (figures | spread, state)

    return Learner(init, batch, loss)


def apply_to(module: nn.Module, shape: Sequence[int]) -> Callable[[PyTree, Array, Key], Any]:
    """(variables, x, key) -> a module's outputs, of which nothing is sampled.

    Args:
      module: that is applied.
      shape: of one x; others are refused by name.
    """

    def apply(variables: PyTree, x: Array, key: Key) -> Any:
        del key
        if x.shape[1:] != tuple(shape):
            raise ValueError(f"images must be [B, {', '.join(map(str, shape))}]; got {x.shape}")
        return module.apply(variables, x)

    return apply


def params_alone(params: PyTree, carried: PyTree) -> PyTree:
    """The variables of a module that has no collection beside its parameters."""
    del carried  # a baseline's state
    return {"params": params}
