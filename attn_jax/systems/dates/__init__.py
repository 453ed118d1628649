"""Dates in words to ISO dates, by attention over characters (Bahdanau et al. 2015)."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.data import Sequences, load_dates
from attn_jax.data.dates import INPUT, MAX_LENGTH, OUTPUT
from attn_jax.fields import construct, field, section
from attn_jax.models import Seq2Seq, seq2seq
from attn_jax.modules import SCORES, rollout_keys, shifted
from attn_jax.parts.compute import Compute, CoreModel, view
from attn_jax.parts.feed import feed_ids
from attn_jax.parts.learner import CreditedTrain, Query, Wiring, make_learner, params_alone
from attn_jax.parts.mechanism import ScoredMechanism, check_dot, make_attention
from attn_jax.records import Row
from attn_jax.systems.dates import decoding, page
from attn_jax.tasks import sequence_objective
from attn_jax.training.experiment import (
    Best,
    Conclusion,
    Experiment,
    Figures,
    Learner,
    Model,
    System,
)
from attn_jax.training.settings import Evaluate, Settings
from attn_jax.training.state import TrainState
from attn_jax.types import Estimator, Key, PyTree

# The facts of every run: codes read, L and their vocabulary; tokens written, T and theirs.
FACTS = {"length": MAX_LENGTH, "vocabulary": len(INPUT), "steps": 10, "tokens": len(OUTPUT)}

_PROTOCOL = (
    "free-running greedy decoding, choices at their mode; exact: all ten characters right, with "
    "its 95 % Wilson interval; alignment error: heaviest character outside the span that decides "
    "the digit; best checkpoint by validation error; test read once"
)


@section
class Dates:
    """Dates in three splits; a figure's interval needs two of them at least."""

    train: int = field("dates to train on", least=1)
    validation: int = field("dates of other days", least=2)
    test: int = field("dates of other days again", least=2)
    seed: int = field("seed of the split of the days, and of their formats", least=0)


@section
class CharacterMechanism(ScoredMechanism):
    """A mechanism over the characters of a text: one choice for each character written."""

    read: str = field("what is seen of the characters", names=("weighted_sum",))


@section
class TextModel(CoreModel):
    """Widths of the encoder, the scores and the decoder's core."""

    embedding: int = field("width of a character's embedding, read or written", least=1)
    encoder_features: int = field("units of the encoder in each direction", least=1)
    score_features: int = field("width of the comparison of characters with the state", least=1)


@section
class EvaluateDecoding(Evaluate):
    """How decoding is measured."""

    batch: int = field("dates at a time", least=1)


@section
class DatesSections(Settings):
    """The sections of a config of the dates."""

    data: Dates
    mechanism: CharacterMechanism
    model: TextModel
    compute: Compute
    train: CreditedTrain
    evaluate: EvaluateDecoding

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dot(self.mechanism.scores, self.model.core_widths, 2 * self.model.encoder_features)


def prepare(settings: DatesSections) -> Experiment:
    """The experiment: dates, and the model that translates them."""
    source, wiring = construct(load_dates, settings.data), wire(settings)
    size = settings.evaluate.batch
    decode = decoding.make_decoder(wiring, wiring.attention.final.at_mode(), size)

    def validate(state: TrainState) -> Row:
        return decoding.validation_row(decode(state.evaluated, source.validation))

    def decoded(state: TrainState, split: str) -> dict[str, decoding.Decoding]:
        return decoding.decode_all(wiring, state.evaluated, getattr(source, split), size)

    def conclude(state: TrainState) -> Conclusion:
        return page.conclusion(decoded(state, "test"), draw=settings.log.pictures)

    def measure(state: TrainState, split: str) -> Figures:
        return decoding.figures(decoded(state, split), split)

    return Experiment(
        data=source.description,
        protocol=_PROTOCOL,
        facts=FACTS,
        learner=_learner(settings, wiring),
        resident=source.train,
        feed=feed_ids(settings.seed, len(source.train.lengths), settings.train.batch),
        validate=validate,
        best=Best("validation/error_mean"),
        shown=("train/loss", "train/error", "validation/error_mean"),
        measure=measure,
        conclude=conclude,
    )


def wire(settings: DatesSections) -> Wiring:
    """The mechanism, and sequence to sequence around it.

    Raises:
      ValueError: for an estimator that gives no weights.
    """
    mechanism, widths, compute = settings.mechanism, settings.model, settings.compute
    attention = make_attention(mechanism, settings.train.steps)
    propose = SCORES[mechanism.scores](
        widths.score_features, view(mechanism.detach), compute.jax_dtype, (MAX_LENGTH,)
    )

    def model(estimator: Estimator, start: Estimator | None) -> Seq2Seq:
        del start  # the first state has seen the mean annotation
        return construct(
            seq2seq,
            widths,
            propose=propose,
            estimator=estimator,
            read=attention.read,
            vocabulary=FACTS["vocabulary"],
            num_tokens=FACTS["tokens"],
            num_steps=FACTS["steps"],
            cells=widths.cells(compute),
            **compute.loop(FACTS["steps"]),
        )

    dummy = jax.ShapeDtypeStruct((1, FACTS["length"]), jnp.int32)
    return Wiring(attention, None, model, FACTS["steps"], dummy)


def _learner(settings: DatesSections, wiring: Wiring) -> Learner:
    return make_learner(wiring, settings.train, sequence_objective, batch, teacher_forced)


def batch(resident: Sequences, ids: Array, key: Key) -> tuple[Array, Array, Array]:
    """(inputs [B, L], targets [B, T], ids [B]); texts are codes."""
    del key
    inputs, targets = resident.inputs[ids], resident.targets[ids]
    return inputs.astype(jnp.int32), targets.astype(jnp.int32), ids


def teacher_forced(batch: tuple[Array, Array, Array]) -> Query:
    """Every token, each after the right ones before it."""
    codes, targets, ids = batch
    return Query(codes, targets, ids, inputs=shifted(targets, FACTS["tokens"]))


def rebuild(settings: DatesSections, facts: Mapping[str, Any]) -> Model:
    """The model without its data."""
    del facts  # the same for every run
    wiring = wire(settings)
    module = wiring.at_mode()

    def apply(variables: PyTree, x: Array, key: Key) -> Any:
        if x.shape[1:] != (MAX_LENGTH,):
            raise ValueError(f"texts must be codes [B, {MAX_LENGTH}]; got {x.shape}")
        keys = rollout_keys(key, jnp.arange(len(x)), wiring.steps)
        return module.apply(variables, x, keys)

    return Model(_learner(settings, wiring), module, params_alone, apply)


def ask(
    settings: DatesSections, facts: Mapping[str, Any], variables: PyTree, texts: Sequence[str]
) -> tuple[list[decoding.Translation], bytes]:
    """The ISO date of each text, and the characters it was read from."""
    del facts  # the same for every run
    wiring = wire(settings)
    decode = decoding.make_decoder(wiring, wiring.attention.final.at_mode(), len(texts))
    lower = [text.lower() for text in texts]
    decoded = decode(variables["params"], decoding.unlabelled(lower))
    answers = decoding.translations(lower, decoded)
    return answers, page.alignment_png(decoded, list(range(len(texts))))


SYSTEM = System(DatesSections, "configs/seq2seq_dates.py", prepare, rebuild, ask)
