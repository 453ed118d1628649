"""The report of a spatial transformer network: its protocol, its errors, its pictures."""

from collections.abc import Sequence

import numpy as np

from attn_jax import viz
from attn_jax.parts import report
from attn_jax.parts.digits import Canvas
from attn_jax.parts.observe import choose_examples
from attn_jax.records import as_text
from attn_jax.systems.spatial_transformer.measuring import WAYS, Looks, Measured, look, named
from attn_jax.systems.spatial_transformer.network import Network
from attn_jax.systems.spatial_transformer.sections import NONE, TransformerSections
from attn_jax.training.experiment import Conclusion
from attn_jax.types import PyTree


def protocol(settings: TransformerSections, network: Network, canvas: Canvas) -> str:
    """How the figures are taken, in one line."""
    return (
        f"{report.describe_images(settings.data, canvas)}, distorted anew at every step of "
        f"training; {_describe(settings)}, {network.flops / 1e6:.3g} MFLOP an image; best "
        "checkpoint by validation error; test read once; 95 % Wilson intervals"
    )


def _describe(settings: TransformerSections) -> str:
    """The network in words."""
    mechanism, nets = settings.mechanism, settings.model
    convolutions = ", ".join(
        f"{n} {k}x{k}" for n, k in zip(nets.filters, nets.kernels, strict=True)
    )
    network = f"convolutions {convolutions}" if convolutions else "dense layers"
    if mechanism.transform == NONE:
        return f"{network}, no transformer"
    size = "" if mechanism.size is None else f" to {mechanism.size} pixels a side"
    many = f"{mechanism.parallel} {mechanism.transform} transformer(s)"
    if mechanism.steps:
        core = f"{nets.core} of {', '.join(map(str, nets.core_widths))} units"
        many = f"{mechanism.steps} {mechanism.transform} transforms one after the other by a {core}"
    return f"{many}{size}, {mechanism.padding} padding, in front of {network}"


def conclusion(
    settings: TransformerSections,
    network: Network,
    canvas: Canvas,
    params: PyTree,
    measured: Measured,
    *,
    draw: bool,
) -> Conclusion:
    """The conclusion of a run: figures on the test split, and pictures if `draw`.

    Args:
      settings: the sections of its config.
      network: that was trained.
      canvas: what it knows of its images.
      params: its parameters.
      measured: on the test split.
      draw: whether pictures are made.
    """
    named = {WAYS[way]: one for way, one in measured.answers.items()}
    charts = [report.confusion(measured.answers[""], canvas, WAYS[""])] if draw else []
    sections = [
        viz.Section(
            "How well it reads",
            f"Errors on {measured.figures.count:,} test {_objects(measured)}, in percent. The "
            "control uses the same weights.",
            [report.errors(named, "answers by"), *charts],
        )
    ]
    pictures = {"confusion.png": charts[0].data} if charts else {}
    if draw and network.transform is not None:
        images, labels = measured.images
        chosen = choose_examples(labels if labels.ndim == 1 else labels[:, 0])
        seen = look(network, params, images[chosen])
        picture = viz.Picture(
            draw_looks(seen, canvas.classes, labels[chosen]),
            "Test images with the outline of what each transformer reads, and what it reads.",
            "What each transformer reads of test images; the dot is its output's first corner.",
        )
        pictures["transforms.png"] = picture.data
        sections.append(viz.Section("Where it looks", "", [picture]))
    sides = "×".join(map(str, canvas.canvas[:-1]))
    return Conclusion(
        figures=measured.figures,
        title=f"Spatial transformer on {settings.data.task} {sides} images",
        summary=[
            *((name, as_text("error", one.error()[0])) for name, one in named.items()),
            *_of_sequences(measured),
        ],
        sections=sections,
        pictures=pictures,
    )


def _objects(measured: Measured) -> str:
    shape = measured.images.labels.shape
    return "images" if len(shape) == 1 else f"objects, {shape[1]} of each image"


def _of_sequences(measured: Measured) -> list[tuple[str, str]]:
    if measured.images.labels.ndim == 1:
        return []
    return [("all objects of an image", as_text("error", measured.sequence_error[0]))]


def draw_looks(seen: Looks, classes: Sequence[str], labels: np.ndarray | None = None) -> bytes:
    """A PNG of where transformers read; with a verdict where the labels are known."""
    titles = [f"read {name}" for name in named(classes, seen.answers)]
    if labels is not None:
        right = (seen.answers == labels).reshape(len(labels), -1).all(1)
        triples = zip(right, named(classes, labels), titles, strict=True)
        titles = [f"{'✓' if ok else '✗'} true {name}, {title}" for ok, name, title in triples]
    figure = viz.transformed(seen.images, seen.grids, seen.views, titles=titles)
    return viz.to_png(figure)
