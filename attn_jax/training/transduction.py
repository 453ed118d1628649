"""Text to text, as the loop's experiment."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.data import DateSource, Sequences, load_dates
from attn_jax.data.dates import FORMATS, INPUT, MAX_LENGTH, OUTPUT
from attn_jax.modules import shifted
from attn_jax.tasks import clustered, misaligned, rollouts, sequence_objective, wilson
from attn_jax.training import texts
from attn_jax.training.build import Parts, build
from attn_jax.training.experiment import Conclusion, Experiment, Figures
from attn_jax.training.model import Shape
from attn_jax.training.state import TrainState
from attn_jax.training.update import Asked, init_state, make_loss, make_update
from attn_jax.training.writers import Row
from attn_jax.types import Choose, PyTree

SHAPE = Shape((MAX_LENGTH, len(INPUT)), len(OUTPUT))
_LEAST = 2  # dates measured: an interval needs two
_PROTOCOL = (
    "free-running greedy decoding, choices at their mode; exact: all ten characters right, with "
    "its 95 % Wilson interval; alignment error: heaviest character outside the span that decides "
    "the digit; best checkpoint by validation error; test read once"
)


def prepare(config: Any) -> Experiment:
    """The experiment a config names.

    Raises:
      ValueError: naming what does not fit.
    """
    source = _source(config.data.to_dict())
    parts = build(config, SHAPE)
    if config.model.glimpses != source.train.targets.shape[1]:
        raise ValueError(
            f"model.glimpses must be {source.train.targets.shape[1]}, the characters of an ISO "
            f"date; got {config.model.glimpses}"
        )

    def measure(state: TrainState, split: str) -> Figures:
        return in_figures(read_all(config, parts, state, getattr(source, split)), split)

    def conclude(state: TrainState, rows: list[Row]) -> Conclusion:
        read = read_all(config, parts, state, source.test)
        drawn = texts.draw(read["mean"], rows)
        figures = in_figures(read, "test")
        by_format = {name: _of_format(read["mean"], i) for i, name in enumerate(FORMATS)}
        return Conclusion(
            figures,
            drawn,
            lambda results: texts.assemble(figures, by_format, drawn, results),
        )

    return Experiment(
        data=source.description,
        notes=SHAPE._asdict(),
        protocol=_PROTOCOL,
        examples=source.train,
        init=lambda: init_state(config, parts),
        update=make_update(
            config, parts, compose, make_loss(config, parts, sequence_objective, told)
        ),
        validation=lambda: make_validate(config, parts, source),
        measure=measure,
        conclude=conclude,
    )


def _source(data: dict[str, Any]) -> DateSource:
    """The dates, in splits whose figures can be drawn and have an interval."""
    fields = {"train", "validation", "test", "seed"}
    if strange := sorted(set(data) - fields):
        raise ValueError(
            f"data must have the fields {', '.join(sorted(fields))}, as configs/seq2seq_dates.py "
            f"has them; got {', '.join(strange)}"
        )
    for name in ("validation", "test"):
        if data[name] < _LEAST:
            raise ValueError(f"data.{name} must be at least {_LEAST}; got {data[name]}")
    return load_dates(**data)


def compose(examples: Sequences, ids: Array, key: Any) -> tuple[Array, Array]:
    """(inputs [B, L], targets [B, T]) as codes."""
    del key
    return examples.inputs[ids].astype(jnp.int32), examples.targets[ids].astype(jnp.int32)


def told(batch: tuple[Array, Array]) -> Asked:
    """Every token, each after the right ones before it."""
    codes, targets = batch
    return Asked(codes, targets, inputs=shifted(targets, len(OUTPUT)))


class Reading(NamedTuple):
    """What was said of a split, decoded greedily.

    Attributes:
      split: what was read.
      said: [N, T] codes.
      where: [N, T, L], the weights or one-hots behind each.
    """

    split: Sequences
    said: np.ndarray
    where: np.ndarray

    @property
    def exact(self) -> np.ndarray:
        """[N], whether all characters are right."""
        return (self.said == self.split.targets).all(-1)


def make_reader(config: Any, parts: Parts, choose: Choose) -> Callable[..., Reading]:
    """(variables, split) -> what is said of it, compiled once."""
    model = parts.model(choose, parts.start.choose)
    key = jax.random.key(config.data.seed)  # of controls and estimators that ask for one

    @jax.jit
    def say(variables: PyTree, codes: Array, ids: Array) -> tuple[Array, Array]:
        outputs = rollouts(model, variables, codes, key, ids, 1)
        return outputs.logits[0].argmax(-1), outputs.trace.selection.where[0]

    def read(variables: PyTree, split: Sequences) -> Reading:
        total, size = len(split.inputs), min(config.evaluate.batch, len(split.inputs))
        said, where = [], []
        for start in range(0, total, size):
            ids = np.arange(start, start + size) % total  # the last is filled up from the first
            tokens, weights = say(variables, jnp.asarray(split.inputs[ids], jnp.int32), ids)
            said.append(np.asarray(tokens))
            where.append(np.asarray(weights))
        return Reading(split, np.concatenate(said)[:total], np.concatenate(where)[:total])

    return read


def read_all(config: Any, parts: Parts, state: TrainState, split: Sequences) -> dict[str, Reading]:
    """At the policy's mode, and by the controls on the same weights."""
    greedy = parts.final.greedy
    ways = {"mean": greedy, **{name: one.choose for name, one in parts.controls.items()}}
    return {
        name: make_reader(config, parts, choose)(state.evaluated, split)
        for name, choose in ways.items()
    }


def make_validate(config: Any, parts: Parts, source: DateSource) -> Callable[[PyTree], Row]:
    """variables -> what is not exactly right of the validation split, in percent, and alignment."""
    read = make_reader(config, parts, parts.final.greedy)

    def validate(variables: PyTree) -> Row:
        one = read(variables, source.validation)
        low, high = wilson(int((~one.exact).sum()), len(one.exact))
        return {
            "validation/error_mean": 100 * float((~one.exact).mean()),
            "validation/error_mean_low": 100 * low,
            "validation/error_mean_high": 100 * high,
            "validation/alignment_error": _alignment(one)[0],
        }

    return validate


def in_figures(read: dict[str, Reading], split: str) -> Figures:
    """Exact matches of each way of choosing, and the alignment error, in [0, 1]."""
    rows = {"alignment_error": _alignment(read["mean"])}
    for name, one in read.items():
        suffix = "" if name == "mean" else f"_{name}"
        rows[f"exact{suffix}"] = _proportion(one.exact)
    flat, lines = {}, []
    for name, (value, low, high) in sorted(rows.items(), key=lambda row: row[0] != "exact"):
        stem = f"{split}/{name}"
        flat |= {stem: value, f"{stem}_low": low, f"{stem}_high": high}
        lines.append(f"{texts.SAID[name]:38} {value:7.4f}  [{low:.4f}, {high:.4f}]")
    return Figures(lines, flat, len(read["mean"].exact))


def _proportion(right: np.ndarray) -> tuple[float, float, float]:
    return float(right.mean()), *wilson(int(right.sum()), len(right))


def _alignment(one: Reading) -> tuple[float, float, float]:
    # Every date has the same eight digits, so rows weigh alike.
    outside, counted = misaligned(one.where, one.split.spans)
    return clustered(outside[:, counted.any(0)])


def _of_format(one: Reading, index: int) -> tuple[int, float, float]:
    """(examples, exact, alignment error) of one format; NaN of none."""
    mine = one.split.formats == index
    if not mine.any():
        return 0, float("nan"), float("nan")
    outside, counted = misaligned(one.where[mine], one.split.spans[mine])
    return int(mine.sum()), float(one.exact[mine].mean()), float(outside.sum() / counted.sum())
