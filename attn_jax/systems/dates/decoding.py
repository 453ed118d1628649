"""Dates decoded by a model, and how right they are."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax import memory
from attn_jax.data import Sequences
from attn_jax.data.dates import MAX_LENGTH, decode_output, encode_input
from attn_jax.parts.learner import Wiring
from attn_jax.records import Row
from attn_jax.tasks import clustered, misaligned, rollouts, wilson
from attn_jax.training.experiment import Figures
from attn_jax.types import Estimator, PyTree

LABELS = {
    "exact": "all ten characters right",
    "exact_uniform": "control: every character alike",
    "alignment_error": "heaviest character outside its span",
}


class Decoding(NamedTuple):
    """The dates of a split, decoded greedily.

    Attributes:
      split: what was read.
      tokens: [N, T] codes.
      where: [N, T, L], the weights or one-hots behind each.
    """

    split: Sequences
    tokens: np.ndarray
    where: np.ndarray

    @property
    def exact(self) -> np.ndarray:
        """[N], whether all characters are right."""
        return (self.tokens == self.split.targets).all(-1)


Decode = Callable[[PyTree, Sequences], Decoding]


def make_decoder(wiring: Wiring, estimator: Estimator, batch: int) -> Decode:
    """(params, split) -> its decoding, each answer fed back."""
    model = wiring.model(estimator, None)

    @partial(memory.within, f"decoding {batch} dates at a time (evaluate.batch)")
    @jax.jit
    def decode(params: PyTree, codes: Array, ids: Array) -> tuple[Array, Array]:
        key = jax.random.key(0)  # unused: nothing is sampled
        outputs = rollouts(model, {"params": params}, codes, key, ids, 1)
        return outputs.logits[0].argmax(-1), outputs.trace.selection.where[0]

    def whole(params: PyTree, split: Sequences) -> Decoding:
        total, size = len(split.inputs), min(batch, len(split.inputs))
        tokens, where = [], []
        for start in range(0, total, size):
            ids = np.arange(start, start + size) % total  # the last is filled up from the first
            one, weights = decode(params, jnp.asarray(split.inputs[ids], jnp.int32), ids)
            tokens.append(np.asarray(one))
            where.append(np.asarray(weights))
        return Decoding(split, np.concatenate(tokens)[:total], np.concatenate(where)[:total])

    return whole


def decode_all(wiring: Wiring, params: PyTree, split: Sequences, batch: int) -> dict[str, Decoding]:
    """A split decoded at the policy's mode, and by the controls on the same weights."""
    attention = wiring.attention
    ways = {"mean": attention.final.at_mode(), **attention.controls}
    return {name: make_decoder(wiring, one, batch)(params, split) for name, one in ways.items()}


def validation_row(decoding: Decoding) -> Row:
    """The fraction of the validation split that is not exactly right, and the alignment error."""
    wrong = ~decoding.exact
    low, high = wilson(int(wrong.sum()), len(wrong))
    return {
        "validation/error_mean": float(wrong.mean()),
        "validation/error_mean_low": low,
        "validation/error_mean_high": high,
        "validation/alignment_error": _alignment(decoding)[0],
    }


def figures(decodings: Mapping[str, Decoding], split: str) -> Figures:
    """Exact matches of each way of choosing, and the alignment error; fractions."""
    rows = {"alignment_error": _alignment(decodings["mean"])}
    for name, one in decodings.items():
        rows["exact" if name == "mean" else f"exact_{name}"] = _proportion(one.exact)
    flat, lines = {}, []
    for name, (value, low, high) in sorted(rows.items(), key=lambda row: row[0] != "exact"):
        stem = f"{split}/{name}"
        flat |= {stem: value, f"{stem}_low": low, f"{stem}_high": high}
        interval = f"[{100 * low:.2f}, {100 * high:.2f}]"
        lines.append(f"{LABELS.get(name, name):38} {100 * value:6.2f} %  {interval}")
    return Figures(lines, flat, len(decodings["mean"].exact))


def _proportion(right: np.ndarray) -> tuple[float, float, float]:
    return float(right.mean()), *wilson(int(right.sum()), len(right))


def _alignment(one: Decoding) -> tuple[float, float, float]:
    # Every date has the same eight digits, so rows weigh alike.
    outside, counted = misaligned(one.where, one.split.spans)
    return clustered(outside[:, counted.any(0)])


def of_format(one: Decoding, index: int) -> tuple[int, float, float]:
    """(dates, exact, alignment error) of one format; NaN of none."""
    mine = one.split.formats == index
    if not mine.any():
        return 0, float("nan"), float("nan")
    outside, counted = misaligned(one.where[mine], one.split.spans[mine])
    return int(mine.sum()), float(one.exact[mine].mean()), float(outside.sum() / counted.sum())


class Translation(NamedTuple):
    """A text of the user's, and the ISO date that the model makes of it."""

    text: str
    date: str

    @property
    def line(self) -> str:
        """The text and the answer on one line."""
        return f"{self.text}: {self.date}"

    @property
    def record(self) -> dict[str, str]:
        """The text and its date as plain data."""
        return self._asdict()


def unlabelled(texts: Sequence[str]) -> Sequences:
    """Texts whose dates are not known, as a split.

    Raises:
      ValueError: naming a character that no date has, or a text that is too long.
    """
    codes, lengths = encode_input(texts, MAX_LENGTH)
    count = len(texts)
    targets, spans = np.zeros((count, 10), np.uint8), np.zeros((count, 10, 2), np.int16)
    return Sequences(codes, lengths, targets, spans, np.zeros(count, np.uint8))


def translations(texts: Sequence[str], decoding: Decoding) -> list[Translation]:
    """Each text with its answer."""
    return [
        Translation(text, date)
        for text, date in zip(texts, decode_output(decoding.tokens), strict=True)
    ]
