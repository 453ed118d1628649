"""The report of a classifier of images: its protocol, its table of errors, its pictures."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from attn_jax import viz
from attn_jax.data import TASKS, Images
from attn_jax.parts.digits import Canvas, Digits, picture_key
from attn_jax.parts.learner import Wiring
from attn_jax.parts.observe import Observations, choose_examples, observe, steps_png
from attn_jax.parts.policies import Answers, all_figures, describe
from attn_jax.records import as_text
from attn_jax.training.experiment import Conclusion
from attn_jax.types import PyTree


@runtime_checkable
class DrawObservations(Protocol):
    """Draws where a model looked, by file name, "paths.png" first."""

    def __call__(
        self, observations: Observations, labels: np.ndarray | None, /
    ) -> dict[str, viz.Picture]:
        """Pictures, with a verdict where the labels [N] are known."""
        ...


_CHARTS = ("steps.png", "confusion.png")


class Presentation(NamedTuple):
    """How a classifier is described and drawn.

    Attributes:
      title: the report's title, before the data.
      glimpses: the choices of a rollout in words, for the protocol.
      draw: draws where the model looked.
    """

    title: str
    glimpses: str
    draw: DrawObservations


def protocol(data: Digits, canvas: Canvas, presentation: Presentation) -> str:
    """How the figures are taken, in one line."""
    return (
        f"{describe_images(data, canvas)}; {presentation.glimpses}; best checkpoint by validation "
        f"error at the mean; test read once; 95 % Wilson intervals"
    )


def describe_images(data: Digits, canvas: Canvas) -> str:
    """The composed images in words, for a protocol."""
    told = "pieces" in TASKS[data.task].options and data.pieces is not None
    clutter = f" with {data.pieces} pieces of {data.piece}x{data.piece}" if told else ""
    size = "x".join(map(str, canvas.canvas[:-1]))
    return f"{data.task} {size}{clutter}, composites of seed {data.seed}"


def _size(canvas: Canvas, times: str) -> str:
    return f"{canvas.canvas[1]}{times}{canvas.canvas[0]}"


def draw(
    data: Digits,
    canvas: Canvas,
    wiring: Wiring,
    presentation: Presentation,
    params: PyTree,
    test: Images,
    wrong: Mapping[str, Answers],
) -> dict[str, viz.Picture]:
    """Where the model looks in the first image of each class, and its error by glimpse."""
    chosen = choose_examples(test.labels)
    observations = observe(wiring, params, test.images[chosen], picture_key(data.seed))
    steps = viz.Picture(
        steps_png(wrong),
        "Error against the number of glimpses, one curve a policy.",
        "The error if the model had to answer after each glimpse; bands are 95 % intervals.",
    )
    looks = presentation.draw(observations, test.labels[chosen])
    of_all = viz.channels_shown(canvas.canvas[-1])
    drawn = {
        name: one._replace(caption=f"{one.caption} {of_all}".strip()) for name, one in looks.items()
    }
    first, answers = next(iter(wrong.items()))
    confused = confusion(answers, canvas, describe(first))
    return drawn | {"steps.png": steps, "confusion.png": confused}


def confusion(answers: Answers, canvas: Canvas, by: str) -> viz.Picture:
    """Which classes are taken for which, by answers given in a way that `by` describes."""
    figure = viz.confusion(answers.confusion(canvas.num_classes), canvas.classes)
    return viz.Picture(
        viz.to_png(figure),
        "Counts of test images by their class and by the answer.",
        f"Test images by their class and the answer ({by}).",
    )


def conclusion(
    data: Digits,
    canvas: Canvas,
    presentation: Presentation,
    wrong: Mapping[str, Answers],
    drawn: Mapping[str, viz.Picture],
) -> Conclusion:
    """The conclusion of a run: figures on the test split, and pictures, which may be none."""
    figures = all_figures(wrong, "test")
    summary = [(describe(name), as_text("error", one.error()[0])) for name, one in wrong.items()]
    charts = [drawn[name] for name in _CHARTS if name in drawn]
    sections = [
        viz.Section(
            "How well it reads",
            f"Errors on {figures.count:,} test images, in percent. Rollouts are averaged as "
            "probabilities. Averaging hides a bad policy, so the single rollout stands first; "
            "the controls use the same weights.",
            [errors({describe(name): one for name, one in wrong.items()}, "policy"), *charts],
        )
    ]
    if drawn:
        where = [picture for name, picture in drawn.items() if name not in _CHARTS]
        sections.append(viz.Section("Where it looks", "", where))
    return Conclusion(
        figures=figures,
        title=f"{presentation.title} on {data.task} {_size(canvas, '×')} images",
        summary=summary,
        sections=sections,
        pictures={name: picture.data for name, picture in drawn.items()},
    )


def errors(measured: Mapping[str, Answers], what: str) -> viz.Table:
    """A table of errors: how answers were given, in words, under the heading `what`."""
    rows = []
    for name, one in measured.items():
        error, low, high = (100 * value for value in one.error())
        rows.append((name, f"{error:.2f} %", f"{low:.2f} to {high:.2f} %"))
    return viz.Table((what, "error", "95 % interval"), rows, "Error on the test images.")
