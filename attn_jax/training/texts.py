"""The pictures and the report of a run over texts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_jax import viz
from attn_jax.data.dates import INPUT, decode_output
from attn_jax.training.experiment import Figures
from attn_jax.training.writers import Row

if TYPE_CHECKING:
    from attn_jax.training.transduction import Reading

SAID = {
    "exact": "all ten characters right",
    "exact_uniform": "control: every character alike",
    "alignment_error": "heaviest character outside its span",
}
_SHOWN = 6


def draw(read: "Reading", rows: list[Row]) -> dict[str, bytes]:
    """The alignments of the first text of several formats, and the curves, by file name."""
    first = np.unique(read.split.formats, return_index=True)[1]
    chosen = first[np.unique(np.linspace(0, len(first) - 1, _SHOWN).astype(int))].tolist()
    return {
        "alignment.png": alignment_png(read, chosen),
        "curves.png": viz.to_png(viz.learning_curves(rows)),
    }


def alignment_png(read: "Reading", chosen: list[int]) -> bytes:
    """What each character said looked at, of the chosen texts."""
    alignments = [
        viz.Alignment(
            "".join(INPUT[code] for code in read.split.inputs[i, : read.split.lengths[i]]),
            decode_output(read.said[i])[0],
            read.where[i, :, : read.split.lengths[i]],
            read.split.spans[i],
        )
        for i in chosen
    ]
    return viz.to_png(viz.alignment(alignments))


def assemble(
    figures: Figures,
    by_format: Mapping[str, tuple[int, float, float]],
    drawn: dict[str, bytes],
    results: dict[str, Any],
) -> str:
    """The page, with its pictures inside it.

    Args:
      figures: on the test split.
      by_format: (examples, exact, alignment error) of each.
      drawn: of `draw`.
      results: what was reached and how, for the last table.
    """
    flat = figures.flat
    names = [name for name in SAID if f"test/{name}" in flat]
    measured = [(SAID[n], f"{flat[f'test/{n}']:.4f}", _interval(flat, f"test/{n}")) for n in names]
    of_formats = [
        (name, f"{count:,}", f"{exact:.4f}", f"{outside:.4f}")
        for name, (count, exact, outside) in by_format.items()
    ]
    facts = [(k, str(v)) for k, v in results.items() if not k.startswith("test/")]
    return viz.render_report(
        "Dates in words to ISO dates",
        [(said, value) for said, value, _ in measured],
        [
            viz.Section(
                "How well it reads",
                f"Of {figures.count:,} dates of days that were not trained on, decoded greedily "
                "with its own answers fed back.",
                [
                    viz.Table(("figure", "value", "95 % interval"), measured, "On the test dates."),
                    viz.Table(
                        ("format", "dates", "exact", "alignment error"),
                        of_formats,
                        "By what each format makes of 3 March 1998.",
                    ),
                ],
            ),
            viz.Section(
                "Where it looks",
                "A row a character said, a column a character read. Frames mark what decides it.",
                [
                    viz.Picture(
                        drawn["alignment.png"],
                        "Weights of each output character over the characters of the input.",
                        "Attention while dates are spelled, on test dates of several formats.",
                    )
                ],
            ),
            viz.Section(
                "How it learned",
                "",
                [viz.Picture(drawn["curves.png"], "Learning curves.", "Training and validation.")],
            ),
            viz.Section("How this was made", "", [viz.Table(("what", "value"), facts, "The run.")]),
        ],
    )


def _interval(flat: dict[str, float], stem: str) -> str:
    return f"{flat[stem + '_low']:.4f} to {flat[stem + '_high']:.4f}"
