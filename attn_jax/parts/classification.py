"""Images in classes: the system of every model that classifies by glimpses."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array

from attn_jax import viz
from attn_jax.data import Images
from attn_jax.fields import section
from attn_jax.modules import rollout_keys
from attn_jax.parts import report
from attn_jax.parts.ask import Asked, Reading, read_pictures
from attn_jax.parts.compute import Compute
from attn_jax.parts.digits import (
    Canvas,
    DigitBatch,
    DigitData,
    Digits,
    compose_batch,
    feed_digits,
    freeze_split,
    load_digits,
    no_batch,
    resident,
)
from attn_jax.parts.learner import CreditedTrain, Query, Wiring, make_learner, params_alone
from attn_jax.parts.policies import (
    Answers,
    EvaluatePolicies,
    all_figures,
    figures,
    make_measure,
    measure_all,
    policies,
)
from attn_jax.parts.report import Presentation
from attn_jax.records import Row
from attn_jax.tasks import objective
from attn_jax.training.experiment import (
    Best,
    Conclusion,
    Experiment,
    Figures,
    Learner,
    Model,
    System,
)
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.types import Key, PyTree


@section
class ClassifierSettings(Settings):
    """The sections that every classifier of images has."""

    data: Digits
    compute: Compute
    train: CreditedTrain
    evaluate: EvaluatePolicies


@runtime_checkable
class Wire(Protocol):
    """Makes a mechanism and the model around it, for images of a canvas."""

    def __call__(self, settings: Any, canvas: Canvas, /) -> Wiring:
        """The wiring; raises ValueError, one line, for what does not fit."""
        ...


@runtime_checkable
class Present(Protocol):
    """Says how a classifier of these sections is described and drawn, for images of a canvas."""

    def __call__(self, settings: Any, canvas: Canvas, /) -> Presentation:
        """The presentation."""
        ...


def classifier_system(
    sections: type[ClassifierSettings], config: str, wire: Wire, present: Present
) -> System:
    """The system of a classifier of images.

    Args:
      sections: of its config.
      config: the path of a shipped config that has them.
      wire: makes the model.
      present: describes and draws it.
    """

    def prepare(settings: ClassifierSettings) -> Experiment:
        return with_data(settings, load_digits(settings.data))

    def with_data(settings: ClassifierSettings, data: DigitData) -> Experiment:
        known = settings, data.canvas
        return classification(settings, data, wire(*known), present(*known))

    def prepare_other(settings: ClassifierSettings, facts: Mapping[str, Any]) -> Experiment:
        return with_data(settings, load_digits(settings.data, Canvas.of(facts)))

    def rebuild(settings: ClassifierSettings, facts: Mapping[str, Any]) -> Model:
        return _model(settings, wire(settings, Canvas.of(facts)))

    def ask(
        settings: ClassifierSettings, facts: Mapping[str, Any], variables: PyTree,
        queries: Sequence[str],
    ) -> tuple[list[Reading], bytes]:  # fmt: skip
        canvas = Canvas.of(facts)
        asked = Asked(settings, canvas, wire(settings, canvas), present(settings, canvas))
        return read_pictures(asked, variables["params"], queries)

    return System(sections, config, prepare, rebuild, ask, prepare_other)


def classification(
    settings: ClassifierSettings, data: DigitData, wiring: Wiring, presentation: Presentation
) -> Experiment:
    """The experiment of a classifier of images.

    Args:
      settings: its sections.
      data: the images.
      wiring: the mechanism and the model.
      presentation: how it is described and drawn.
    """
    seed, evaluate = settings.data.seed, settings.evaluate

    @cache  # made when it is first needed, after the first updates
    def validation() -> tuple[Images, Key, Any]:
        policy = policies(wiring, evaluate)["mean"]
        frozen = freeze_split(data, seed, "validation")
        return *frozen, make_measure(wiring, policy, evaluate.batch)

    def validate(state: TrainState) -> Row:
        images, key, measure = validation()
        return figures("validation", "mean", measure(state.evaluated, *images, key))

    def measured(state: TrainState, split: str) -> tuple[dict[str, Answers], Images]:
        images, key = freeze_split(data, seed, split)
        return measure_all(wiring, evaluate, state.evaluated, images, key), images

    def conclude(state: TrainState) -> Conclusion:
        wrong, images = measured(state, "test")
        about = settings.data, data.canvas
        drawn: dict[str, viz.Picture] = {}
        if settings.log.pictures:
            params = state.evaluated
            drawn = report.draw(*about, wiring, presentation, params, images, wrong)
        return report.conclusion(*about, presentation, wrong, drawn)

    def measure_split(state: TrainState, split: str) -> Figures:
        return all_figures(measured(state, split)[0], split)

    return Experiment(
        data=data.source.description,
        protocol=report.protocol(settings.data, data.canvas, presentation),
        facts=data.canvas.facts,
        learner=_learner(settings, wiring, data),
        resident=resident(data),
        feed=feed_digits(data, settings.seed, settings.train.batch),
        validate=validate,
        best=Best("validation/error_mean"),
        shown=("train/loss", "train/error", "validation/error_mean"),
        measure=measure_split,
        conclude=conclude,
    )


def _learner(settings: ClassifierSettings, wiring: Wiring, data: DigitData | None) -> Learner:
    """The learner; without data it makes parameters only."""
    batch = compose_batch(data) if data else no_batch
    return make_learner(wiring, settings.train, objective, batch, last_answer)


def last_answer(batch: DigitBatch) -> Query:
    """The class after the last glimpse, the only answer that is graded."""
    return Query(batch.x, batch.labels, batch.ids, answers=slice(-1, None))


def _model(settings: ClassifierSettings, wiring: Wiring) -> Model:
    module, shape = wiring.at_mode(), wiring.dummy_input.shape[1:]

    def apply(variables: PyTree, x: Array, key: Key) -> Any:
        if x.shape[1:] != shape:
            raise ValueError(f"images must be [B, {', '.join(map(str, shape))}]; got {x.shape}")
        keys = rollout_keys(key, jnp.arange(len(x)), wiring.steps)
        return module.apply(variables, x, keys)

    return Model(_learner(settings, wiring, None), module, params_alone, apply)
