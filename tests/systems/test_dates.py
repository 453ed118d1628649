"""Dates through the real loop: what a run leaves, what is refused, what can be asked of it."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.data import load_dates
from attn_jax.errors import UserError
from attn_jax.runs.evaluate import evaluate
from attn_jax.runs.infer import infer
from attn_jax.runs.load import load
from attn_jax.systems import dates, read_config
from attn_jax.systems.dates.decoding import decode_all, make_decoder
from configs import seq2seq_dates
from tests.tiny import first_state, prepared, result, small_config, train, updated


def dates_of(data: Path, kind: str | None = None, **changed) -> ConfigDict:
    """The dates' config, shrunk as the main one is."""
    config, small = seq2seq_dates.get_config(kind), small_config(data)
    with config.unlocked():
        for part in ("train", "optimizer", "log"):
            config[part] = small[part]
        config.evaluate.update(every=4, batch=5)
        config.data.update(train=48, validation=9, test=11)
        config.train.reward = "log_likelihood"
        config.model.update(core_widths=(8,), encoder_features=4, embedding=4, score_features=4)
        flat = {name.replace("__", "."): value for name, value in changed.items()}
        config.update_from_flattened_dict(flat)
    return config


@pytest.fixture(scope="module")
def ran(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("dates") / "run"
    train(dates_of(data, log__pictures=True), workdir)
    return workdir


def test_a_run_leaves_its_figures_pictures_and_page(ran: Path):
    figures = result(ran)
    names = ("exact", "exact_uniform", "alignment_error")
    tested = {f"test/{name}{end}" for name in names for end in ("", "_low", "_high")}
    assert {name for name in figures if name.startswith("test/")} == tested
    assert 0 <= figures["test/exact"] <= 1
    assert "11 test" in figures["data"]
    assert {path.name for path in (ran / "pictures").iterdir()} == {"alignment.png", "curves.png"}
    page = (ran / "report.html").read_text()
    assert "Dates in words to ISO dates" in page
    assert "march the third, nineteen ninety-eight" in page


def test_its_figures_are_counts_of_what_it_said(ran: Path):
    loaded = load(ran)
    split = load_dates(**loaded.config["data"]).test
    wiring = dates.wire(loaded.settings)
    greedy = wiring.attention.final.at_mode()
    one = make_decoder(wiring, greedy, 5)(loaded.state.evaluated, split)
    outputs = loaded.module.apply(loaded.variables, jnp.asarray(split.inputs, jnp.int32))
    np.testing.assert_array_equal(one.tokens, outputs.logits.argmax(-1))  # 5, 5 and 1 at a time
    np.testing.assert_allclose(one.where, outputs.trace.selection.where, atol=1e-5)
    exact = np.mean([(a == b).all() for a, b in zip(one.tokens, split.targets, strict=True)])
    assert result(ran)["test/exact"] == exact
    inside = [
        start <= place < end
        for places, spans in zip(one.where.argmax(-1), split.spans, strict=True)
        for place, (start, end) in zip(places, spans, strict=True)
        if end > start
    ]
    assert result(ran)["test/alignment_error"] == pytest.approx(1 - np.mean(inside))


def test_evaluating_again_gives_the_runs_own_figures(ran: Path):
    measured, again = evaluate(ran)
    assert measured.count == again["examples"] == 11
    assert measured.flat.items() <= result(ran).items()
    with pytest.raises(UserError, match="makes its own data"):
        evaluate(ran, source="npz")


def test_it_can_be_asked(ran: Path):
    answers, png = infer(ran, ["March 3, 1998", "3-mar-1998"])
    assert [one.text for one in answers] == ["march 3, 1998", "3-mar-1998"]
    assert all(len(one.date) == 10 for one in answers)
    assert png.startswith(b"\x89PNG")
    with pytest.raises(UserError, match="got '!'"):
        infer(ran, ["3 march 1998!"])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"mechanism__estimator": "categorical", "train__baseline": "self_critical"},
        {"mechanism__estimator": "categorical", "mechanism__coin": 0.5,
         "train__rollouts": 2, "train__baseline": "leave_one_out"},
    ],
    ids=["straight_through", "self_critical", "semi_sampling"],
)  # fmt: skip
def test_hard_attention_trains(data: Path, changed: dict):
    _, _, figures = updated(dates_of(data, "hard", **changed), 12)
    assert (figures["policy"] != 0).all() == ("mechanism__estimator" in changed)
    assert figures["cross_entropy"][-4:].mean() < figures["cross_entropy"][:4].mean()


def test_the_mode_of_a_hard_choice_reads_one_character(data: Path):
    config = dates_of(data, "hard")
    _, settings = read_config(config.to_dict())
    assert isinstance(settings, dates.DatesSections)
    split = load_dates(**config.data.to_dict()).validation
    read = decode_all(dates.wire(settings), first_state(config).params, split, 5)
    np.testing.assert_array_equal(np.sort(read["mean"].where, -1)[..., -2:], [[[0, 1]] * 10] * 9)
    alike = np.repeat(1 / split.lengths[:, None], 10, 1)
    np.testing.assert_allclose(read["uniform"].where.max(-1), alike, rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mechanism__read": "mask"}, "mechanism.read must be one of weighted_sum; got 'mask'"),
        ({"model__embedding": 0}, "model.embedding must be at least 1; got 0"),
        ({"mechanism__estimator": "gaussian"}, "the estimator gives 'point'"),
        ({"data__train": 0}, "data.train must be at least 1; got 0"),
        ({"data__test": 1}, "data.test must be at least 2; got 1"),
        ({"data__validation": 1}, "data.validation must be at least 2; got 1"),
        ({"data__test": 80_000}, "test . validation must be at most"),
        ({"mechanism__scores": "dot", "model__core_widths": (7,)}, "dot needs .* item, 8; got .*7"),
    ],
)
def test_what_does_not_fit_is_refused(data: Path, changed: dict, message: str):
    with pytest.raises(UserError, match=message):
        prepared(dates_of(data, **changed))


def test_an_unknown_argument_names_the_two():
    with pytest.raises(ValueError, match="takes :soft, :hard, :tiny; got :firm"):
        seq2seq_dates.get_config("firm")
