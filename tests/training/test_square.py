"""Every mechanism of the square, from its config through the real loop to its pictures."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from tiny import result, small_config

from attn_jax.training.build import build, build_data
from attn_jax.training.classification import protocol
from attn_jax.training.loop import train
from attn_jax.training.update import init_state
from configs import taxonomy

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
        ("glimpse_size", 0, "glimpse_size must be positive; got 0|size must be at least 1; got 0"),
        ("zoom", -1.0, "model.zoom must be positive; got -1"),
    ],
)
def test_what_makes_no_sense_on_a_map_is_refused(
    square_of: Callable[..., ConfigDict], field: str, value, message: str
):
    config = square_of("location_hard", **{f"model__{field}": value})
    with pytest.raises(ValueError, match=message):
        build(config, build_data(config).shape)


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
