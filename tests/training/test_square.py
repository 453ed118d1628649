"""Every mechanism of the square, from its config through the real loop to its pictures."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.training.build import build, build_data
from attn_jax.training.classification import protocol
from attn_jax.training.loop import train
from attn_jax.training.prepare import prepare
from attn_jax.training.update import init_state
from configs import taxonomy
from tests.tiny import result, small_config

CONTROLS = {
    "item_soft": {"uniform"},
    "item_hard": {"uniform"},
    "location_soft": {"uniform"},
    "location_hard": {"random", "center"},
    "spatial_transformer": {"identity"},
}
each = pytest.mark.parametrize("mechanism", CONTROLS)


@each
def test_a_mechanism_trains_is_measured_beside_its_controls_and_drawn(
    square_of: Callable[..., ConfigDict], tmp_path: Path, mechanism: str
):
    config = square_of(mechanism)
    report = train(config, tmp_path / "run")
    figures = {name for name in result(tmp_path / "run") if name.startswith("test/")}
    measured = {"mean", "m3", *CONTROLS[mechanism]}
    ends = ("", "_low", "_high")
    assert figures == {f"test/error_{name}{end}" for name in measured for end in ends}
    pictures = {path.name for path in (tmp_path / "run" / "pictures").iterdir()}
    assert pictures == {"paths.png", "steps.png", "curves.png"}
    assert "Recurrent attention on centered 10×10 images" in report.read_text()


@each
def test_controls_have_the_parameters_of_what_they_control(
    square_of: Callable[..., ConfigDict], mechanism: str
):
    def initial(policy: str):
        config = square_of(mechanism, model__policy=policy)
        return init_state(config, build(config, build_data(config).shape)).variables

    learned = initial("learned")
    for control in CONTROLS[mechanism]:
        jax.tree.map(np.testing.assert_array_equal, learned, initial(control))


def test_a_control_of_another_kind_is_refused(square_of: Callable[..., ConfigDict]):
    config = square_of("item_soft", model__policy="center")
    with pytest.raises(ValueError, match=r"policy must be one of learned, uniform; got 'center'"):
        build(config, build_data(config).shape)


def test_items_have_no_place(square_of: Callable[..., ConfigDict]):
    config = square_of("location_hard", model__as_items=True)
    with pytest.raises(ValueError, match="items have no place; model.read must be weighted_sum"):
        build(config, build_data(config).shape)


def test_fields_that_a_model_needs_are_named(data: Path):
    config = small_config(data, model__name="square")
    message = r"model.name=square needs model.as_items, .*model.zoom, as configs/taxonomy.py"
    with pytest.raises(ValueError, match=message):
        build(config, build_data(config).shape)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("unit", 3.0, "model.unit must be 0, got 3"),
        ("read", "retina", "model.read must be crop where a map is read"),
        ("glimpse_size", 0, "model.glimpse_size must be positive; got 0"),
        ("encoder", (4, 0), r"model.encoder must be widths of at least 1; got \(4, 0\)"),
        ("features", (), r"model.features must be widths of at least 1; got \(\)"),
        ("coin", 0.5, "semi_sampling wraps estimators of scores"),
        ("temperature", 2.0, "with_temperature wraps estimators of scores"),
        ("temperature", 0.0, "model.temperature must be positive; got 0"),
        ("zoom", -1.0, "model.zoom must be positive; got -1"),
    ],
)
def test_what_makes_no_sense_on_a_map_is_refused(
    square_of: Callable[..., ConfigDict], field: str, value, message: str
):
    config = square_of("location_hard", **{f"model__{field}": value})
    with pytest.raises(ValueError, match=message):
        build(config, build_data(config).shape)


@pytest.mark.parametrize(
    ("mechanism", "changed"),
    [
        ("item_hard", {"estimator": "categorical", "coin": 0.5, "temperature": 2.0}),
        ("item_soft", {"scores": "state"}),
        ("item_soft", {"scores": "dot"}),
        ("location_soft", {"scores": "state"}),
        ("location_hard", {"learn_sigma": True}),
    ],
)
def test_one_step_of_every_choice_a_config_has(
    square_of: Callable[..., ConfigDict], mechanism: str, changed: dict
):
    config = square_of(mechanism, **{f"model__{name}": value for name, value in changed.items()})
    if changed.get("scores") == "dot":
        with config.unlocked():
            config.model.features = (config.model.encoder[-1],)
    experiment = prepare(config)
    before = experiment.init()
    examples = jax.tree.map(jnp.asarray, experiment.examples)
    after, figures = jax.jit(experiment.update)(before, examples, jnp.arange(config.train.batch))
    assert all(np.isfinite(one).all() for one in jax.tree.leaves(figures))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before.variables, after.variables)
    paths = jax.tree_util.tree_flatten_with_path(moved)[0]
    still = [jax.tree_util.keystr(path) for path, changed in paths if not changed]
    assert not [path for path in still if "propose" in path], still
    if "learn_sigma" in changed:
        assert any("log_sigma" in jax.tree_util.keystr(path) for path, _ in paths)


def test_only_a_gaussian_learns_its_sigma(square_of: Callable[..., ConfigDict]):
    config = square_of("item_hard", model__learn_sigma=True)
    with pytest.raises(ValueError, match="learn_sigma is for gaussian and pathwise_gaussian; got"):
        build(config, build_data(config).shape)


def test_what_is_measured_has_the_spread_that_training_ends_with(
    square_of: Callable[..., ConfigDict],
):
    changed = {"estimator": "gumbel_softmax", "sigma": 1.0, "sigma_end": 0.1}
    config = square_of("item_hard", **{f"model__{name}": value for name, value in changed.items()})
    parts = build(config, build_data(config).shape)
    scores = jnp.array([1.0, 0.0, -1.0])
    np.testing.assert_allclose(
        parts.final.greedy(None, scores).where, jax.nn.softmax(scores / 0.1), atol=1e-6
    )
    with config.unlocked():
        config.evaluate.sigma = 0.5
    sampled = build(config, build_data(config).shape).sampled
    np.testing.assert_allclose(
        sampled.greedy(None, scores).where, jax.nn.softmax(scores / 0.5), atol=1e-6
    )


def test_the_protocol_says_what_was_done(square_of: Callable[..., ConfigDict]):
    said = protocol(square_of("item_soft"))
    assert "2 steps of expectation and weighted_sum on an encoded map" in said
    assert "glimpses" not in said


def test_an_unknown_mechanism_lists_the_five():
    with pytest.raises(
        ValueError, match="takes one of item_soft, .*spatial_transformer; got :soft"
    ):
        taxonomy.get_config("soft")


@each
def test_the_sweep_trains_the_mechanism_and_its_controls(mechanism: str):
    cells = taxonomy.get_hyper(mechanism)
    assert {cell["model.policy"] for cell in cells} == {"learned", *CONTROLS[mechanism]}
