"""The report of a run on dates: its tables and its picture of alignments."""

from collections.abc import Mapping, Sequence

import numpy as np

from attn_jax import viz
from attn_jax.data.dates import FORMATS, INPUT, decode_output
from attn_jax.records import as_text
from attn_jax.systems.dates.decoding import LABELS, Decoding, figures, of_format
from attn_jax.training.experiment import Conclusion, Figures

_SHOWN = 6


def conclusion(decodings: Mapping[str, Decoding], *, draw: bool) -> Conclusion:
    """The conclusion of a run: figures on the test split, and pictures if `draw`."""
    mean, measured = decodings["mean"], figures(decodings, "test")
    sections = [_how_well(measured, mean)]
    pictures: dict[str, bytes] = {}
    if draw:
        pictures["alignment.png"] = alignment_png(mean, _examples(mean))
        sections.append(_where(pictures["alignment.png"]))
    summary = [(label, value) for label, value, _ in _rows(measured)]
    return Conclusion(measured, "Dates in words to ISO dates", summary, sections, pictures)


def alignment_png(decoding: Decoding, chosen: Sequence[int]) -> bytes:
    """The characters that each character written looked at, of the chosen texts."""
    split = decoding.split
    alignments = [
        viz.Alignment(
            "".join(INPUT[code] for code in split.inputs[i, : split.lengths[i]]),
            decode_output(decoding.tokens[i])[0],
            decoding.where[i, :, : split.lengths[i]],
            split.spans[i],
        )
        for i in chosen
    ]
    return viz.to_png(viz.alignment(alignments))


def _examples(decoding: Decoding) -> list[int]:
    """The first text of several formats."""
    first = np.unique(decoding.split.formats, return_index=True)[1]
    return first[np.unique(np.linspace(0, len(first) - 1, _SHOWN).astype(int))].tolist()


def _rows(measured: Figures) -> list[tuple[str, str, str]]:
    """(label, figure, its interval), in percent."""
    rows = []
    for name, label in LABELS.items():
        stem = f"test/{name}"
        if stem in measured.flat:
            low, high = (100 * measured.flat[f"{stem}_{end}"] for end in ("low", "high"))
            interval = f"{low:.2f} to {high:.2f} %"
            rows.append((label, as_text(stem, measured.flat[stem]), interval))
    return rows


def _how_well(measured: Figures, mean: Decoding) -> viz.Section:
    of_formats = []
    for index, name in enumerate(FORMATS):
        count, exact, outside = of_format(mean, index)
        row = (name, f"{count:,}", as_text("exact", exact), as_text("alignment_error", outside))
        of_formats.append(row)
    return viz.Section(
        "How well it reads",
        f"Of {measured.count:,} dates of days that were not trained on, decoded greedily "
        "with its own answers fed back.",
        [
            viz.Table(("figure", "value", "95 % interval"), _rows(measured), "On the test dates."),
            viz.Table(
                ("format", "dates", "exact", "alignment error"),
                of_formats,
                "By what each format makes of 3 March 1998.",
            ),
        ],
    )


def _where(picture: bytes) -> viz.Section:
    return viz.Section(
        "Where it looks",
        "A row a character written, a column a character read. Frames mark what decides it.",
        [
            viz.Picture(
                picture,
                "Weights of each output character over the characters of the input.",
                "Attention while dates are spelled, on test dates of several formats.",
            )
        ],
    )
