"""Spatial transformer networks on images of classes (Jaderberg et al. 2015)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from attn_jax.data import Images, from_uint8
from attn_jax.parts.ask import Reading, read_each
from attn_jax.parts.digits import (
    Canvas,
    DigitData,
    feed_digits,
    load_digits,
    resident,
)
from attn_jax.parts.learner import apply_to, params_alone
from attn_jax.records import Row
from attn_jax.systems.spatial_transformer import page
from attn_jax.systems.spatial_transformer.history import make_history
from attn_jax.systems.spatial_transformer.learning import make_learner
from attn_jax.systems.spatial_transformer.measuring import look, make_measure
from attn_jax.systems.spatial_transformer.network import wire
from attn_jax.systems.spatial_transformer.sections import NONE, TransformerSections
from attn_jax.tasks import symptoms
from attn_jax.training.experiment import Best, Conclusion, Experiment, Figures, Model, System
from attn_jax.training.state import TrainState
from attn_jax.types import PyTree


def prepare(settings: TransformerSections) -> Experiment:
    """The experiment: images composed of digits, and the network for them."""
    return with_data(settings, load_digits(settings.data))


def prepare_other(settings: TransformerSections, facts: Mapping[str, Any]) -> Experiment:
    """The experiment that measures a run on other images."""
    return with_data(settings, load_digits(settings.data, Canvas.of(facts)))


def with_data(settings: TransformerSections, data: DigitData) -> Experiment:
    """The experiment on images that are there."""
    network = wire(settings, data.canvas)
    _check_answers(settings, data)
    measured = make_measure(settings, network, data)

    def validation_images() -> Images:
        return measured((), "validation", ()).images

    def validate(state: TrainState) -> Row:
        return measured(state.evaluated, "validation", ("",)).figures.flat

    def measure(state: TrainState, split: str) -> Figures:
        return measured(state.evaluated, split).figures

    def conclude(state: TrainState) -> Conclusion:
        params = state.evaluated
        return page.conclusion(
            settings, network, data.canvas, params, measured(params, "test"),
            draw=settings.log.pictures,
        )  # fmt: skip

    return Experiment(
        data=data.source.description,
        protocol=page.protocol(settings, network, data.canvas),
        facts=data.canvas.facts,
        learner=make_learner(settings, network, data),
        resident=resident(data),
        feed=feed_digits(data, settings.seed, settings.train.batch),
        validate=validate,
        best=Best("validation/error"),
        shown=("train/loss", "train/error", "validation/error"),
        measure=measure,
        conclude=conclude,
        watch=partial(warnings, settings),
        history=make_history(network, data.canvas.classes, validation_images),
    )


def _check_answers(settings: TransformerSections, data: DigitData) -> None:
    """Refuse a network with another number of answers than the task has labels."""
    key = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
    label = jax.ShapeDtypeStruct((1,), np.int32)
    asked = jax.eval_shape(data.label, key, label, label).shape[1:]
    steps = settings.mechanism.steps
    if asked != ((steps,) if steps else ()):
        number = str(asked[0]) if asked else "one"
        raise ValueError(
            f"data.task={settings.data.task} asks for {number} answer(s) to an image; "
            f"mechanism.steps is {steps}"
        )


def warnings(settings: TransformerSections, row: Row) -> dict[str, str]:
    """Warnings about the transformers of a run, one line each, by kind."""
    mechanism, background = settings.mechanism, -settings.model.mean / settings.model.deviation
    found = symptoms(row)
    if mechanism.transform != NONE and mechanism.padding == "zeros" and background:
        found["padding"] = (
            f"the normalised background is {background:.3g}, and outside the image zeros are read: "
            "a bright frame; have mechanism.padding=constant and "
            f"mechanism.fill={background:.3g}, or mechanism.padding=border"
        )
    return found


def rebuild(settings: TransformerSections, facts: Mapping[str, Any]) -> Model:
    """The network without its data."""
    network = wire(settings, Canvas.of(facts))
    apply = apply_to(network.module, network.dummy_input.shape[1:])
    return Model(make_learner(settings, network, None), network.module, params_alone, apply)


def ask(
    settings: TransformerSections, facts: Mapping[str, Any], variables: PyTree, paths: Sequence[str]
) -> tuple[list[Reading], bytes]:
    """The class of each of the user's pictures, and what the transformers read of the first."""
    canvas = Canvas.of(facts)
    network = wire(settings, canvas)

    @jax.jit
    def probabilities(x: Array) -> Array:
        logits = network.module.apply(variables, x).logits
        return jax.nn.softmax(logits if logits.ndim == 3 else logits[:, None])[0]

    def answer(image: np.ndarray) -> np.ndarray:
        return np.asarray(probabilities(from_uint8(image)[None]))[None]

    readings, shown = read_each(canvas, answer, paths)
    if not len(shown) or network.transform is None:
        return readings, b""
    return readings, page.draw_looks(look(network, variables["params"], shown), canvas.classes)


SYSTEM = System(TransformerSections, "configs/stn_mnist.py", prepare, rebuild, ask, prepare_other)
