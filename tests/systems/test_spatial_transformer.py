"""Spatial transformer networks as a system: what their sections do, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from attn_jax.data import Preparation
from attn_jax.errors import UserError
from attn_jax.ops import implementation
from attn_jax.parts import compute
from attn_jax.parts.digits import Canvas
from attn_jax.records import read_metrics
from attn_jax.runs.infer import infer
from attn_jax.runs.load import load
from attn_jax.systems import read_config
from attn_jax.systems.spatial_transformer.measuring import _shifts
from attn_jax.systems.spatial_transformer.network import wire
from attn_jax.systems.spatial_transformer.sections import TransformerSections
from tests.tiny import first_state, killed, prepared, result, train, transformer_config, updated


@pytest.fixture(scope="session")
def config(data: Path) -> Callable[..., ConfigDict]:
    return partial(transformer_config, data)


_PARALLEL = {"log__pictures": True, "mechanism__parallel": 2, "mechanism__penalty": 0.1}


@pytest.fixture(scope="module")
def run(config: Callable[..., ConfigDict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transformers")
    train(config(**_PARALLEL), folder)
    return folder


def moved(config: ConfigDict, count: int = 3) -> dict[str, bool]:
    """Whether the parameters of each part change in some updates."""
    before, after, _ = updated(config, count)
    return {
        part: any(
            bool((np.asarray(a) != np.asarray(b)).any())
            for a, b in zip(jax.tree.leaves(before.params[part]), jax.tree.leaves(one), strict=True)
        )
        for part, one in after.params.items()
    }


def test_every_part_learns(config: Callable[..., ConfigDict]):
    assert all(moved(config()).values())


def test_at_rate_0_the_transform_stays_where_it_started(config: Callable[..., ConfigDict]):
    changed = moved(config(mechanism__rate=0.0))
    assert changed.pop("transformers_0") is False
    assert all(changed.values())


def test_transformers_in_parallel_have_parameters_of_their_own(config: Callable[..., ConfigDict]):
    params = first_state(config(mechanism__parallel=2)).params
    kernels = [params[f"transformers_{i}"]["localisation"]["Conv_0"]["kernel"] for i in range(2)]
    assert (np.asarray(kernels[0]) != np.asarray(kernels[1])).any()


def test_figures_of_the_transforms_are_logged(config: Callable[..., ConfigDict]):
    _, _, figures = updated(config(mechanism__zoom=0.5), 1)
    assert float(figures["scale"][0]) == pytest.approx(0.5)
    assert float(figures["determinant"][0]) == pytest.approx(0.25)
    assert float(figures["outside"][0]) == 0
    without = updated(config("cnn"), 1)[2]
    assert "scale" not in without


def test_a_penalty_is_part_of_the_loss(config: Callable[..., ConfigDict]):
    _, _, figures = updated(config(mechanism__penalty=2.0, mechanism__zoom=0.5), 1)
    assert float(figures["penalty"][0]) == pytest.approx(2 * float(figures["distance"][0]) ** 2)
    total = figures["cross_entropy"] + figures["penalty"]
    np.testing.assert_allclose(figures["loss"], total, rtol=1e-6)


def test_the_run_measures_the_network_its_shifts_and_its_control(run: Path):
    figures = result(run)
    assert " MFLOP an image; " in figures["protocol"]
    tested = {name for name in figures if name.startswith("test/")}
    ways = ("error", "error_shifted", "error_unmoved")
    assert tested == {f"test/{way}{end}" for way in ways for end in ("", "_low", "_high")}
    pictures = {path.name for path in (run / "pictures").iterdir()}
    assert pictures == {"transforms.png", "transforms.gif", "confusion.png", "curves.png"}


def test_a_killed_run_draws_the_same_history(
    run: Path, config: Callable[..., ConfigDict], tmp_path: Path
):
    killed(config(**_PARALLEL), tmp_path, 3)
    train(config(**_PARALLEL), tmp_path)
    rows = read_metrics(tmp_path / "history.jsonl")
    assert [row["step"] for row in rows] == [4, 8, 12]
    for name in ("history.jsonl", "pictures/transforms.gif"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_it_is_loaded_and_asked(run: Path, tmp_path: Path):
    loaded = load(run)
    apply = jax.jit(loaded.apply)
    out = apply(jnp.zeros((2, 10, 10, 1)), jax.random.key(0))
    assert (out.logits.shape, len(out.views), out.views[0].shape) == ((2, 3), 2, (2, 8, 8, 1))
    picture = tmp_path / "one.png"
    Image.fromarray(np.full((10, 10), 90, np.uint8)).save(picture)
    [reading], png = infer(run, [str(picture)])
    assert png.startswith(b"\x89PNG")
    assert "rollouts" not in reading.line
    image = jnp.full((1, 10, 10, 1), 90 / 255)
    expected = jax.nn.softmax(apply(image, jax.random.key(0)).logits)
    assert sorted(reading.record["probabilities"].values()) == pytest.approx(
        sorted(np.asarray(expected[0]).tolist()), abs=1e-5
    )


def test_shifts_move_the_image_by_whole_pixels():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    right, left, down, up = (np.asarray(one)[0, ..., 0] for one in _shifts(x, 1))
    image = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(right[:, 1:], image[:, :-1])
    np.testing.assert_array_equal(left[:, :-1], image[:, 1:])
    np.testing.assert_array_equal(down[1:], image[:-1])
    np.testing.assert_array_equal(up[:-1], image[1:])
    assert right[:, 0].sum() == left[:, -1].sum() == down[0].sum() == up[-1].sum() == 0


def test_a_collapse_is_said_once_and_kept(
    config: Callable[..., ConfigDict], tmp_path: Path, capsys: pytest.CaptureFixture
):
    train(config(mechanism__zoom=8.0, log__progress=True), tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert {line.split(":")[1] for line in said} == {" step 4"}  # of twelve steps, in three calls
    assert [sum(what in line for line in said) for what in ("outside", "zooms out")] == [1, 1]
    assert [f"warning: {line}" for line in result(tmp_path)["warnings"]] == said
    assert "zooms out" in (tmp_path / "report.html").read_text()


def test_a_healthy_run_warns_of_nothing(run: Path):
    assert result(run)["warnings"] == []


def test_zeros_around_a_normalised_background_are_warned_of(config: Callable[..., ConfigDict]):
    normalised = partial(config, model__mean=0.2, model__deviation=0.5)
    said = prepared(normalised())[1].watch({})
    assert "have mechanism.padding=constant and mechanism.fill=-0.4" in said["padding"]
    for cured in ({"mechanism__padding": "border"}, {"mechanism__transform": "none"}):
        assert prepared(normalised(**cured))[1].watch({}) == {}
    assert prepared(config())[1].watch({}) == {}


def test_pixels_are_normalised_before_anything_else(config: Callable[..., ConfigDict]):
    changed = config(model__mean=0.2, model__deviation=0.5)
    _, settings = read_config(changed.to_dict())
    assert isinstance(settings, TransformerSections)
    canvas = Canvas((10, 10, 1), ("a", "b", "c"), Preparation((10, 10)))
    plain = replace(settings, model=replace(settings.model, mean=0.0, deviation=1.0))
    one, other = wire(settings, canvas).module, wire(plain, canvas).module
    x = jax.random.uniform(jax.random.key(0), (2, 10, 10, 1))
    variables = jax.jit(one.init)(jax.random.key(1), x)
    expected = jax.jit(other.apply)(variables, (x - 0.2) / 0.5)
    np.testing.assert_allclose(jax.jit(one.apply)(variables, x).logits, expected.logits, rtol=1e-5)


def test_features_are_dropped_in_training_alone(config: Callable[..., ConfigDict]):
    dropped = config(model__dropout=0.9)
    _, _, figures = updated(dropped, 1)
    assert float(figures["loss"][0]) != float(updated(config(), 1)[2]["loss"][0])
    _, experiment = prepared(dropped)
    state = first_state(dropped)
    assert experiment.validate(state) == prepared(config())[1].validate(state)


def test_a_random_last_layer_gives_each_image_a_transform_of_its_own(
    config: Callable[..., ConfigDict],
):
    still, spread = (
        updated(config(mechanism__last_layer=deviation, model__localisation_hidden=(16,)), 1)[2][
            "distance"
        ][0]
        for deviation in (0.0, 1.0)
    )
    assert still == 0 < 0.1 < spread


def test_a_run_keeps_the_sampler_that_it_began_with(
    config: Callable[..., ConfigDict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    train(config(train__steps=4), tmp_path)
    kept = json.loads((tmp_path / "config.json").read_text())["compute"]["sampler"]
    assert kept == implementation.best_implementation() == "xla"  # as the tests' environment says
    monkeypatch.setattr(compute, "best_implementation", lambda: "native")
    train(config(train__steps=8), tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["compute"]["sampler"] == "xla"


def test_a_run_that_samples_natively_does_not_go_on_otherwise(config: Callable[..., ConfigDict]):
    with pytest.raises(UserError, match="compute.sampler is native, which this machine cannot"):
        updated(config(compute__sampler="native"), 1)
    prepared(config(compute__sampler="native"))  # as evaluate does


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"mechanism__transform": "affine_3d"}, "affine_3d is for volumes; data.task=centered"),
        ({"mechanism__size": 0}, "mechanism.size must be at least 1; got 0"),
        ({"mechanism__transform": "rotation", "mechanism__zoom": 0.5}, "zoom must be 1 for rot"),
        ({"model__kernels": (30,)}, "a kernel must fit into the map before it, 8x8 here; got 30"),
        ({"model__localisation_kernels": (3, 3)}, "filters and kernels must be as many"),
        ({"mechanism__fill": 0.5}, "fill belongs to padding='constant' alone"),
        ({"mechanism__zoom": 0.5, "mechanism__bound": 0.2}, "start must lie within"),
        ({"data__size": 8}, "size must be at least the digit's 10 x 10 pixels; got 8"),
    ],
)
def test_bad_input_is_one_line(
    config: Callable[..., ConfigDict], changed: dict[str, object], line: str
):
    with pytest.raises(UserError, match=line) as refused:
        prepared(config(**changed))
    assert "\n" not in str(refused.value)
