"""Images in classes: the experiment and the model of every system that classifies by glimpses."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax import viz
from attn_jax.data import Images
from attn_jax.data.user_image import load_user_image
from attn_jax.fields import section
from attn_jax.modules import rollout_keys
from attn_jax.parts import measure
from attn_jax.parts.compute import Compute
from attn_jax.parts.digits import (
    Canvas,
    Composed,
    DigitData,
    Digits,
    compose_batch,
    feed_digits,
    freeze_split,
    picture_key,
    resident,
)
from attn_jax.parts.measure import Measuring, WrongAnswers
from attn_jax.parts.objective import Credited, Query, Wiring, make_learner, params_alone
from attn_jax.parts.pictures import Looks, choose_examples, look, steps_png
from attn_jax.records import Row, as_text
from attn_jax.tasks import objective
from attn_jax.training.experiment import Best, Conclusion, Experiment, Figures, Learner, Model
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.types import Key, PyTree


@section
class ClassifierSettings(Settings):
    """The sections that every classifier of images has."""

    data: Digits
    compute: Compute
    train: Credited
    evaluate: Measuring


@runtime_checkable
class DrawLooks(Protocol):
    """Draws where a model looked, by file name, "paths.png" first."""

    def __call__(self, looks: Looks, labels: np.ndarray | None) -> dict[str, viz.Picture]:
        """Pictures with a verdict where the labels [N] are known."""
        ...


class Presentation(NamedTuple):
    """How a classifier is described and drawn.

    Attributes:
      title: of the report, before the data.
      glimpses: the choices of a rollout in words, for the protocol.
      draw: where the model looked.
    """

    title: str
    glimpses: str
    draw: DrawLooks


def last_answer(batch: Composed) -> Query:
    """The class after the last glimpse, the only answer that is graded."""
    return Query(batch.x, batch.labels, batch.ids, answers=slice(-1, None))


def classifier_learner(
    settings: ClassifierSettings, wiring: Wiring, data: DigitData | None
) -> Learner:
    """The learner; without data it can make parameters only."""
    batch = compose_batch(data) if data else _no_batch
    return make_learner(wiring, settings.train, objective, batch, last_answer)


def _no_batch(*_: Any) -> Composed:
    raise ValueError("a model without its data has no batches")


def classifier(settings: ClassifierSettings, wiring: Wiring) -> Model:
    """The model without its data."""
    module, shape = wiring.at_mode(), wiring.dummy_input.shape[1:]

    def apply(variables: PyTree, x: Array, key: Key) -> Any:
        if x.shape[1:] != shape:
            raise ValueError(f"images must be [B, {', '.join(map(str, shape))}]; got {x.shape}")
        keys = rollout_keys(key, jnp.arange(len(x)), wiring.steps)
        return module.apply(variables, x, keys)

    return Model(classifier_learner(settings, wiring, None), module, params_alone, apply)


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
        policy = measure.policies(wiring, evaluate)["mean"]
        frozen = freeze_split(data, seed, "validation")
        return *frozen, measure.make_measure(wiring, policy, evaluate.batch)

    def validate(state: TrainState) -> Row:
        images, key, count = validation()
        return measure.figures("validation", "mean", count(state.evaluated, *images, key))

    def measured(state: TrainState, split: str) -> tuple[dict[str, WrongAnswers], Images]:
        images, key = freeze_split(data, seed, split)
        return measure.measure_all(wiring, evaluate, state.evaluated, images, key), images

    def conclude(state: TrainState) -> Conclusion:
        wrong, images = measured(state, "test")
        drawn: dict[str, viz.Picture] = {}
        if settings.log.pictures:
            drawn = _draw(settings, wiring, presentation, state.evaluated, images, wrong)
        return _conclusion(settings, presentation, wrong, drawn)

    def measure_split(state: TrainState, split: str) -> Figures:
        return measure.all_figures(measured(state, split)[0], split)

    return Experiment(
        data=data.source.description,
        protocol=_protocol(settings, presentation),
        facts=data.canvas._asdict(),
        learner=classifier_learner(settings, wiring, data),
        resident=resident(data),
        feed=feed_digits(data, settings.seed, settings.train.batch),
        validate=validate,
        best=Best("validation/error_mean"),
        shown=("train/loss", "train/error", "validation/error_mean"),
        measure=measure_split,
        conclude=conclude,
    )


def _protocol(settings: ClassifierSettings, presentation: Presentation) -> str:
    """How the figures are taken, in one line."""
    data = settings.data
    clutter = f" with {data.pieces} pieces of {data.piece}x{data.piece}"
    return (
        f"{data.task} {data.size}x{data.size}{clutter if data.task == 'cluttered' else ''}, "
        f"composites of seed {data.seed}; {presentation.glimpses}; best checkpoint by validation "
        f"error at the mean; test read once; 95 % Wilson intervals"
    )


def _draw(
    settings: ClassifierSettings,
    wiring: Wiring,
    presentation: Presentation,
    params: PyTree,
    test: Images,
    wrong: dict[str, WrongAnswers],
) -> dict[str, viz.Picture]:
    """Where the model looks in the first image of each class, and its error by glimpse."""
    chosen = choose_examples(test.labels)
    looks = look(wiring, params, test.images[chosen], picture_key(settings.data.seed))
    steps = viz.Picture(
        steps_png(wrong),
        "Error against the number of glimpses, one curve a policy.",
        "The error if the model had to answer after each glimpse; bands are 95 % intervals.",
    )
    return presentation.draw(looks, test.labels[chosen]) | {"steps.png": steps}


def _conclusion(
    settings: ClassifierSettings,
    presentation: Presentation,
    wrong: dict[str, WrongAnswers],
    drawn: dict[str, viz.Picture],
) -> Conclusion:
    figures, data = measure.all_figures(wrong, "test"), settings.data
    summary = [
        (measure.describe(name), as_text("error", one.error()[0])) for name, one in wrong.items()
    ]
    steps = [drawn["steps.png"]] if drawn else []
    sections = [
        viz.Section(
            "How well it reads",
            f"Errors on {figures.count:,} test images, in percent. Rollouts are averaged as "
            "probabilities. Averaging hides a bad policy, so the single rollout stands first; "
            "the controls use the same weights.",
            [_errors(wrong), *steps],
        )
    ]
    if drawn:
        where = [picture for name, picture in drawn.items() if name != "steps.png"]
        sections.append(viz.Section("Where it looks", "", where))
    return Conclusion(
        figures=figures,
        title=f"{presentation.title} on {data.task} {data.size}×{data.size} images",
        summary=summary,
        sections=sections,
        pictures={name: picture.data for name, picture in drawn.items()},
    )


def _errors(wrong: dict[str, WrongAnswers]) -> viz.Table:
    rows = []
    for name, one in wrong.items():
        error, low, high = (100 * value for value in one.error())
        rows.append((measure.describe(name), f"{error:.2f} %", f"{low:.2f} to {high:.2f} %"))
    return viz.Table(("policy", "error", "95 % interval"), rows, "Error on the test images.")


class Reading(NamedTuple):
    """What a model says of one picture.

    Attributes:
      path: of the picture.
      ranked: (class, probability), the likeliest first.
      preparation: what was done to the picture first.
    """

    path: str
    ranked: list[tuple[int, float]]
    preparation: str

    @property
    def line(self) -> str:
        """The three likeliest classes."""
        ranked = "  ".join(f"{c} ({100 * p:.1f} %)" for c, p in self.ranked[:3])
        return f"{self.path}: {ranked}   [{self.preparation}]"


def read_pictures(
    settings: ClassifierSettings,
    canvas: Canvas,
    wiring: Wiring,
    presentation: Presentation,
    variables: PyTree,
    paths: Sequence[str],
) -> tuple[list[Reading], bytes]:
    """One rollout at the policy's mean for each of the user's pictures, and where it looked."""
    height, _, channels = canvas.canvas
    pictures = [load_user_image(path, height, channels) for path in paths]
    images = np.stack([one.image for one in pictures])
    looks = look(wiring, variables["params"], images, picture_key(settings.data.seed))
    readings = [
        Reading(str(path), [(int(c), float(p[c])) for c in np.argsort(-p)], one.note)
        for path, one, p in zip(paths, pictures, looks.probabilities[:, -1], strict=True)
    ]
    return readings, presentation.draw(looks, None)["paths.png"].data
