"""The report of a classifier of images: its protocol, its table of errors, its pictures."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from attn_jax import viz
from attn_jax.data import Images
from attn_jax.parts.digits import Digits, picture_key
from attn_jax.parts.learner import Wiring
from attn_jax.parts.observe import Observations, choose_examples, observe, steps_png
from attn_jax.parts.policies import WrongAnswers, all_figures, describe
from attn_jax.records import as_text
from attn_jax.training.experiment import Conclusion
from attn_jax.types import PyTree


@runtime_checkable
class DrawObservations(Protocol):
    """Draws where a model looked, by file name, "paths.png" first."""

    def __call__(
        self, observations: Observations, labels: np.ndarray | None
    ) -> dict[str, viz.Picture]:
        """Pictures, with a verdict where the labels [N] are known."""
        ...


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


def protocol(data: Digits, presentation: Presentation) -> str:
    """How the figures are taken, in one line."""
    clutter = f" with {data.pieces} pieces of {data.piece}x{data.piece}"
    return (
        f"{data.task} {data.size}x{data.size}{clutter if data.task == 'cluttered' else ''}, "
        f"composites of seed {data.seed}; {presentation.glimpses}; best checkpoint by validation "
        f"error at the mean; test read once; 95 % Wilson intervals"
    )


def draw(
    data: Digits,
    wiring: Wiring,
    presentation: Presentation,
    params: PyTree,
    test: Images,
    wrong: Mapping[str, WrongAnswers],
) -> dict[str, viz.Picture]:
    """Where the model looks in the first image of each class, and its error by glimpse."""
    chosen = choose_examples(test.labels)
    observations = observe(wiring, params, test.images[chosen], picture_key(data.seed))
    steps = viz.Picture(
        steps_png(wrong),
        "Error against the number of glimpses, one curve a policy.",
        "The error if the model had to answer after each glimpse; bands are 95 % intervals.",
    )
    return presentation.draw(observations, test.labels[chosen]) | {"steps.png": steps}


def conclusion(
    data: Digits,
    presentation: Presentation,
    wrong: Mapping[str, WrongAnswers],
    drawn: Mapping[str, viz.Picture],
) -> Conclusion:
    """The conclusion of a run: figures on the test split, and pictures, which may be none."""
    figures = all_figures(wrong, "test")
    summary = [(describe(name), as_text("error", one.error()[0])) for name, one in wrong.items()]
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


def _errors(wrong: Mapping[str, WrongAnswers]) -> viz.Table:
    rows = []
    for name, one in wrong.items():
        error, low, high = (100 * value for value in one.error())
        rows.append((describe(name), f"{error:.2f} %", f"{low:.2f} to {high:.2f} %"))
    return viz.Table(("policy", "error", "95 % interval"), rows, "Error on the test images.")
