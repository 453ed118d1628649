"""Every config that is shipped: its tiny form trains, is killed, resumes, and is reported."""

from collections.abc import Container, Iterable
from pathlib import Path

import pytest

from attn_jax import fields
from attn_jax.records import is_fraction
from attn_jax.runs.load import load
from attn_jax.systems import SYSTEMS, read_config
from configs import taxonomy
from experiments import cli
from tests.tiny import ROOT, config_of_file, killed, result, rows, train

CONFIGS = sorted(
    path.stem for path in (ROOT / "configs").glob("*.py") if "def get_config" in path.read_text()
)
# Every word that a config takes, beside tiny.
WORDS = {
    "ram_mnist": ["", "full"],
    "ram_cluttered": ["", "60", "100"],
    "seq2seq_dates": ["", "soft", "hard"],
    "stn_mnist": [
        "", "cnn,R", "fcn,E", "st_fcn,similarity,P", "st_cnn,projective,E", "st_cnn,corners,R",
        "st_cnn,control_points,TC", "isotropic,full", "axis_aligned", "translation", "rotation",
    ],
    "stn_addition": ["", "full"],
    "stn_3d": [""],
    "stn_colocalise": ["", "translated,digit_7", "full"],
    "rnn_spn": ["", "full"],
    "stn_trainability": [
        f"{case},{what}"
        for case in ("zoom_out", "blank_frame", "random_start", "fast_localisation")
        for what in ("fails", "cured")
    ],
    "taxonomy": [
        "", "item_soft", "item_hard", "location_soft", "location_hard", "spatial_transformer",
    ],
}  # fmt: skip
ALL = [(name, word) for name in CONFIGS for word in WORDS.get(name, [""])]


# Each once, and each mechanism of the taxonomy.
TRAINED = [(name, "") for name in CONFIGS if name not in ("taxonomy", "stn_trainability")]
TRAINED += [("taxonomy", word) for word in WORDS["taxonomy"] if word]
TRAINED += [("stn_mnist", word) for word in ("fcn,E", "st_cnn,control_points,TC")]
# Their systems have another config, which is killed and resumed; of these, slow tests do that.
ONCE = [(f"ram_{name}", "") for name in ("benchmark", "cluttered", "translated")]
ONCE += [(f"stn_{name}", "") for name in ("3d", "addition")] + [("rnn_spn", "")]
ONCE += [("stn_mnist", word) for word in ("fcn,E", "st_cnn,control_points,TC")]
ONCE += [("taxonomy", word) for word in WORDS["taxonomy"] if word not in ("", "location_hard")]
LONG = {(name, "") for name in ("stn_3d", "stn_addition", "rnn_spn")}
LONG |= {("stn_mnist", "st_cnn,control_points,TC")}
# Their mechanisms are trained in tests/mechanisms.
LONG |= {("taxonomy", word) for word in ("item_soft", "item_hard", "location_soft")}


def marked(rows: Iterable[tuple[str, str]], slow: Container[tuple[str, str]]) -> list:
    return [pytest.param(*one, marks=[pytest.mark.slow] if one in slow else []) for one in rows]


@pytest.mark.parametrize(("name", "word"), marked(ONCE, LONG))
def test_it_trains_and_is_measured(name: str, word: str, tmp_path: Path):
    config = config_of_file(name, f"{word},tiny" if word else "tiny")
    with config.unlocked():
        config.train.steps = config.evaluate.every = config.train.steps_per_call
        config.optimizer.warmup = 0
        config.log.update(progress=False, pictures=False, tensorboard=False)
    train(config, tmp_path)
    figures = result(tmp_path)
    assert figures["steps"] == config.train.steps
    assert any(figure.startswith("test/") for figure in figures)


@pytest.mark.parametrize(("name", "word"), marked(TRAINED, ONCE))
def test_it_trains_is_killed_resumes_and_is_reported(name: str, word: str, tmp_path: Path):
    config = config_of_file(name, f"{word},tiny" if word else "tiny")
    with config.unlocked():
        config.log.progress = False
    killed(config, tmp_path, 2)
    train(config, tmp_path)
    figures = result(tmp_path)
    assert (figures["steps"], figures["resumed_from"]) == (6, [2])
    assert [row["step"] for row in rows(tmp_path)] == [2, 4, 6]
    assert any(figure.startswith("test/") for figure in figures)
    page = (tmp_path / "report.html").read_text()
    for heading in ("How it learned", "How this was made"):
        assert f"<h2>{heading}</h2>" in page
    assert {path.suffix for path in (tmp_path / "pictures").iterdir()} <= {".png", ".gif"}
    for row in (figures, *rows(tmp_path)):
        ends = ("_low", "_high")  # of an interval, which may reach beyond
        fractions = [one for one in row if is_fraction(one) and not one.endswith(ends)]
        assert fractions
        assert all(0 <= row[one] <= 1 for one in fractions)
    assert load(tmp_path).step == figures["best_step"]
    if name == "taxonomy":
        measured = {"mean", "m2", *taxonomy.CONTROLS[word]}
        tested = [f"test/error_{one}{end}" for one in measured for end in ("", "_low", "_high")]
        assert {one for one in figures if one.startswith("test/")} == {*tested}
        pictures = {path.name for path in (tmp_path / "pictures").iterdir()}
        assert pictures == {"paths.png", "steps.png", "confusion.png", "curves.png"}


@pytest.mark.parametrize(("name", "word"), ALL)
def test_its_fields_are_those_of_its_system(name: str, word: str):
    plain = config_of_file(name, word or None).to_dict()
    system, settings = read_config(plain)
    assert system is SYSTEMS[plain["system"]]
    described = [row[0] for row in fields.describe(system.sections, plain)]
    assert sorted(described) == sorted(fields.flatten(plain))
    tiny = config_of_file(name, f"{word},tiny" if word else "tiny").to_dict()
    assert fields.flatten(tiny).keys() == fields.flatten(plain).keys()
    assert read_config(tiny)[1].train.steps < settings.train.steps


@pytest.mark.parametrize("name", CONFIGS)
def test_an_unknown_word_lists_those_that_there_are(name: str):
    with pytest.raises(ValueError, match=rf"\A{name}.py takes .*:tiny; got :nope\Z"):
        config_of_file(name, "nope")


def test_help_lists_every_config_with_its_first_line():
    listed = dict(line.strip().split(": ", 1) for line in cli.config_lines(ROOT / "configs"))
    assert sorted(Path(path).stem for path in listed) == CONFIGS
    assert all(listed.values())


def test_helpconfig_prints_each_field_with_its_value_range_and_meaning():
    plain = config_of_file("ram_mnist", None).to_dict()
    lines = list(cli.field_lines(SYSTEMS["ram"].sections, plain))
    assert [line.split()[0] for line in lines] == [
        row[0] for row in fields.describe(SYSTEMS["ram"].sections, plain)
    ]
    [size] = [line for line in lines if line.startswith("mechanism.size ")]
    assert size.split(None, 2)[1:] == ["8", "side of a glimpse, pixels  (at least 1)"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_names_a_config_of_its_own(name: str):
    path = Path(SYSTEMS[name].config)
    assert config_of_file(path.stem, None).system == name
