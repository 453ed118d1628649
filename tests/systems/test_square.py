"""Every mechanism of the square: its controls, its fields, one step of every choice."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.data import Preparation
from attn_jax.errors import UserError
from attn_jax.parts.digits import Canvas
from attn_jax.parts.learner import Wiring
from attn_jax.parts.policies import policies
from attn_jax.systems import read_config, square
from configs import taxonomy
from tests.tiny import first_state, prepared, small_config, updated

CANVAS = Canvas((10, 10, 1), ("a", "b", "c"), Preparation((10, 10)))


def wired(config: ConfigDict) -> tuple[square.SquareSections, Wiring]:
    _, settings = read_config(config.to_dict())
    assert isinstance(settings, square.SquareSections)
    return settings, square.wire(settings, CANVAS)


CONTROLS = {
    "item_soft": {"uniform"},
    "item_hard": {"uniform"},
    "location_soft": {"uniform"},
    "location_hard": {"random", "center"},
    "spatial_transformer": {"identity"},
}
each = pytest.mark.parametrize("mechanism", CONTROLS)


@each
def test_controls_have_the_parameters_of_what_they_control(
    square_of: Callable[..., ConfigDict], mechanism: str
):
    def initial(policy: str):
        return first_state(square_of(mechanism, mechanism__policy=policy)).params

    learned = initial("learned")
    for control in CONTROLS[mechanism]:
        jax.tree.map(np.testing.assert_array_equal, learned, initial(control))


def test_a_control_of_another_kind_is_refused(square_of: Callable[..., ConfigDict]):
    config = square_of("item_soft", mechanism__policy="center")
    with pytest.raises(ValueError, match=r"policy must be one of learned, uniform; got 'center'"):
        wired(config)


def test_items_have_no_place(square_of: Callable[..., ConfigDict]):
    config = square_of("location_hard", mechanism__as_items=True)
    with pytest.raises(
        ValueError, match="items have no place; mechanism.read must be weighted_sum"
    ):
        wired(config)


def test_a_config_of_another_system_is_refused_by_its_fields(data: Path):
    message = (
        r"\Athe config has no field mechanism.coin, .*mechanism.zoom; see configs/taxonomy.py\Z"
    )
    with pytest.raises(UserError, match=message):
        prepared(small_config(data, system="square"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mechanism.read", "retina", "mechanism.read must be one of weighted_sum, .*got 'retina'"),
        ("mechanism.size", 0, "mechanism.size must be at least 1; got 0"),
        ("model.encoder", (4, 0), r"model.encoder must hold numbers at least 1; got \(4, 0\)"),
        ("model.core_widths", (), r"model.core_widths must hold a number or more; got \(\)"),
        ("mechanism.coin", 0.5, "semi_sampling wraps estimators of scores"),
        ("mechanism.temperature", 2.0, "with_temperature wraps estimators of scores"),
        ("mechanism.temperature", 0.0, "mechanism.temperature must be positive; got 0"),
        ("mechanism.zoom", -1.0, "mechanism.zoom must be positive; got -1"),
    ],
)
def test_what_makes_no_sense_on_a_map_is_refused(
    square_of: Callable[..., ConfigDict], field: str, value, message: str
):
    config = square_of("location_hard", **{field.replace(".", "__"): value})
    with pytest.raises(ValueError, match=message):
        wired(config)


@pytest.mark.parametrize(
    ("mechanism", "changed"),
    [
        ("item_hard", {"estimator": "categorical", "coin": 0.5, "temperature": 2.0}),
        ("item_soft", {"scores": "state"}),
        pytest.param("item_soft", {"scores": "dot"}, marks=pytest.mark.slow),
        pytest.param("location_soft", {"scores": "state"}, marks=pytest.mark.slow),
        ("location_hard", {"learn_spread": True}),
    ],
)
def test_one_step_of_every_choice_a_config_has(
    square_of: Callable[..., ConfigDict], mechanism: str, changed: dict
):
    config = square_of(
        mechanism, **{f"mechanism__{name}": value for name, value in changed.items()}
    )
    if changed.get("scores") == "dot":
        with config.unlocked():
            config.model.core_widths = (config.model.encoder[-1],)
    before, after, figures = updated(config, 1)
    assert all(np.isfinite(one).all() for one in jax.tree.leaves(figures))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    paths = jax.tree_util.tree_flatten_with_path(moved)[0]
    still = [jax.tree_util.keystr(path) for path, changed in paths if not changed]
    assert not [path for path in still if "propose" in path], still
    if "learn_spread" in changed:
        assert any("log_sigma" in jax.tree_util.keystr(path) for path, _ in paths)


def test_only_a_gaussian_learns_its_spread(square_of: Callable[..., ConfigDict]):
    config = square_of("item_hard", mechanism__learn_spread=True)
    with pytest.raises(ValueError, match="learn_spread is for gaussian and pathwise_gaussian; got"):
        wired(config)


def test_what_is_measured_has_the_spread_that_training_ends_with(
    square_of: Callable[..., ConfigDict],
):
    changed = {"estimator": "gumbel_softmax", "spread": 1.0, "spread_end": 0.1}
    config = square_of("item_hard", **{f"mechanism__{name}": v for name, v in changed.items()})
    settings, wiring = wired(config)
    scores = jnp.array([1.0, 0.0, -1.0])
    np.testing.assert_allclose(
        wiring.attention.final.greedy(None, scores).where, jax.nn.softmax(scores / 0.1), atol=1e-6
    )
    with config.unlocked():
        config.evaluate.spread = 0.5
    settings, wiring = wired(config)
    sampled = policies(wiring, settings.evaluate)["m3"].estimator
    np.testing.assert_allclose(
        sampled.greedy(None, scores).where, jax.nn.softmax(scores / 0.5), atol=1e-6
    )


def test_the_protocol_says_what_was_done(square_of: Callable[..., ConfigDict]):
    _, experiment = prepared(square_of("item_soft"))
    assert "2 steps of expectation and weighted_sum on an encoded map" in experiment.protocol
    assert "glimpses" not in experiment.protocol


def test_an_unknown_mechanism_lists_the_five():
    with pytest.raises(
        ValueError, match="takes :item_soft, .*:spatial_transformer, :tiny; got :soft"
    ):
        taxonomy.get_config("soft")


@each
def test_the_sweep_trains_the_mechanism_and_its_controls(mechanism: str):
    cells = taxonomy.get_hyper(mechanism)
    assert {cell["mechanism.policy"] for cell in cells} == {"learned", *CONTROLS[mechanism]}
