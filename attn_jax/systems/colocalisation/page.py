"""The report of a search, and its answers about the user's pictures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from attn_jax import viz
from attn_jax.parts import report
from attn_jax.parts.digits import Canvas
from attn_jax.records import as_text
from attn_jax.systems.colocalisation.images import Searched
from attn_jax.systems.colocalisation.measuring import ENOUGH, Found
from attn_jax.systems.colocalisation.sections import ColocalisationSections
from attn_jax.tasks import overlap
from attn_jax.training.experiment import Conclusion, Figures

SHOWN = 8  # images that are drawn


class Place(NamedTuple):
    """Where the object is in one picture.

    Attributes:
      path: of the picture.
      box: (left, top, right, bottom) on the canvas, pixels; () if it was not read.
      preparation: what was done to the picture first.
      refused: why it was not read; "" if it was.
    """

    path: str
    box: tuple[float, ...]
    preparation: str
    refused: str = ""

    @property
    def line(self) -> str:
        """The answer in one line."""
        if self.refused:
            return f"{self.path}: not read: {self.refused}"
        left, top, right, bottom = self.box
        return (
            f"{self.path}: x {left:.1f} to {right:.1f}, y {top:.1f} to {bottom:.1f}   "
            f"[{self.preparation}]"
        )

    @property
    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        if self.refused:
            return {"file": self.path, "refused": self.refused}
        return {"file": self.path, "box": list(self.box), "preparation": self.preparation}


def pixels(box: Float[np.ndarray, "4"], shape: Sequence[int]) -> tuple[float, ...]:
    """A box in [-1, 1] as pixels of an image [H, W, C], from its outer edges."""
    sides = np.array([shape[1], shape[0]] * 2)
    return tuple(((box + 1) / 2 * sides).tolist())


def describe_images(settings: ColocalisationSections, canvas: Canvas) -> str:
    """The images that are searched, in words."""
    name = canvas.classes[settings.data.common]
    return f"{settings.data.count} images that have a {name} in common"


def protocol(settings: ColocalisationSections, canvas: Canvas) -> str:
    """How the figures are taken, in one line."""
    mechanism = settings.mechanism
    return (
        f"{report.describe_images(settings.data, canvas)}, of test digits; "
        f"{describe_images(settings, canvas)}, searched without class or place; read "
        f"{mechanism.size} pixels a side at scale {mechanism.zoom:.3g}; "
        f"the encoder learns from single training digits; best checkpoint by the hinge loss of the "
        f"searched images; found where boxes overlap by more than {ENOUGH}; 95 % Wilson intervals"
    )


def conclusion(
    settings: ColocalisationSections,
    canvas: Canvas,
    searched: Searched,
    found: Found,
    figures: Figures,
    *,
    draw: bool,
) -> Conclusion:
    """The conclusion of a run: what was found, and pictures if `draw`."""
    rows = [
        (words, as_text(name, figures.flat[f"test/{name}"]))
        for name, words in (
            ("error", "not found"),
            ("error_unmoved", "not found where the search began"),
            ("overlap", "mean overlap"),
            ("hinge", "loss where it looks"),
            ("hinge_at_objects", "loss where they are"),
        )
    ]
    sections = [
        viz.Section(
            "What was found",
            f"{describe_images(settings, canvas)}. An object is found where the box that is read "
            f"and the one that holds it share more than {ENOUGH} of what either covers.",
            [viz.Table(("of the images", ""), rows)],
        )
    ]
    pictures = {}
    if draw:
        shown = slice(SHOWN)
        picture = viz.Picture(
            _drawn(searched.images[shown], found, overlap(found.boxes, searched.boxes)),
            "Searched images with the outline of what is read of each, and what it shows.",
            "Where the object is looked for; the overlap with its box above each.",
        )
        pictures["transforms.png"] = picture.data
        sections.append(viz.Section("Where it looks", "", [picture]))
    sides = "×".join(map(str, canvas.canvas[:-1]))
    return Conclusion(
        figures=figures,
        title=f"Co-localisation on {sides} images",
        summary=rows,
        sections=sections,
        pictures=pictures,
    )


def draw(images: np.ndarray, found: Found) -> bytes:
    """A PNG of where the object was looked for in images [N, H, W, C]."""
    return _drawn(images, found, None)


def _drawn(images: np.ndarray, found: Found, shared: Any) -> bytes:
    count = len(images)
    titles = None
    if shared is not None:
        shares = np.asarray(shared)[:count]
        titles = [f"{'✓' if one > ENOUGH else '✗'} overlap {one:.2f}" for one in shares]
    figure = viz.transformed(
        images / 255, found.grids[:count, None], found.views[:count, None], titles=titles
    )
    return viz.to_png(figure)
