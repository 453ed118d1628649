"""Co-localisation as a system: what is searched, what learns from what, what is measured."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from attn_jax.data import from_uint8
from attn_jax.errors import UserError
from attn_jax.parts.digits import load_digits
from attn_jax.runs.infer import infer
from attn_jax.runs.load import load
from attn_jax.systems.colocalisation.images import compose_searched
from attn_jax.systems.colocalisation.learning import loss_at, search_loss
from attn_jax.systems.colocalisation.measuring import Found, figures_of
from attn_jax.systems.colocalisation.network import wire
from attn_jax.tasks import box_of, overlap
from attn_jax.training.update import fresh_state, make_update
from tests.tiny import colocalisation_config, prepared, result, train


@pytest.fixture(scope="session")
def config(data: Path) -> Callable[..., ConfigDict]:
    return partial(colocalisation_config, data)


@pytest.fixture(scope="module")
def run(config: Callable[..., ConfigDict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colocalisation")
    train(config(log__pictures=True), folder)
    return folder


def test_the_searched_images_hold_the_class_inside_their_boxes(
    config: Callable[..., ConfigDict],
):
    settings, _ = prepared(config(data__pieces=0))
    data = load_digits(settings.data)
    images, boxes = compose_searched(settings, data, "test")
    assert images.shape == (7, 20, 20, 1)
    of_class = data.source.test.images[np.asarray(data.source.test.labels) == 1]
    for image, box in zip(images, boxes, strict=True):
        left, top, right, bottom = np.rint((box + 1) * 10).astype(int)
        inside = image[top:bottom, left:right]
        assert any((inside == digit).all() for digit in of_class)
        assert image.sum() == inside.sum()


def changed(before: Any, after: Any) -> set[str]:
    """The parts whose parameters differ."""
    alike = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
    return {part for part, one in alike.items() if not all(jax.tree.leaves(one))}


def test_the_encoder_learns_first_and_alone(config: Callable[..., ConfigDict]):
    settings, experiment = prepared(config(mechanism__begin=3))
    state = fresh_state(settings, experiment.learner)
    first = state.params
    update = jax.jit(make_update(settings, experiment.learner))
    moved = []
    for ids in experiment.feed(0, 5):
        state, _ = update(state, experiment.resident, ids)
        moved.append(changed(first, state.params))
    alone = {"features", "classify"}
    assert moved == [alone] * 3 + [alone | {"transformer"}] * 2


def test_the_search_does_not_move_the_encoder(config: Callable[..., ConfigDict]):
    settings, experiment = prepared(config())
    network = wire(settings, load_digits(settings.data).canvas)
    params = fresh_state(settings, experiment.learner).params
    x, key = from_uint8(experiment.resident.searched), jax.random.key(0)
    gradient = jax.jit(jax.grad(partial(search_loss, network, 1.0)))(params, x, key)
    still = jax.tree.map(jnp.zeros_like, gradient)
    assert changed(gradient, still) == {"transformer"}


def test_the_loss_at_transforms_is_that_of_a_search_that_finds_them(
    config: Callable[..., ConfigDict],
):
    settings, experiment = prepared(config())
    data = load_digits(settings.data)
    network, searched = wire(settings, data.canvas), compose_searched(settings, data, "test")
    params = fresh_state(settings, experiment.learner).params
    x, key = from_uint8(searched.images), jax.random.key(0)
    found = jax.jit(network.module.apply)({"params": params}, x)
    of_search = jax.jit(partial(search_loss, network, 1.0))(params, x, key)
    of_transforms = jax.jit(partial(loss_at, network, 1.0))(params, x, found.where, key)
    np.testing.assert_allclose(of_transforms, of_search, rtol=1e-5)
    where = network.centred(jnp.asarray(searched.boxes))
    np.testing.assert_allclose(overlap(box_of(where), searched.boxes), 1, rtol=1e-4)


def test_random_parts_lie_inside_the_image(config: Callable[..., ConfigDict]):
    settings, _ = prepared(config())
    network = wire(settings, load_digits(settings.data).canvas)
    x = jnp.ones((50, 20, 20, 1))
    parts = jax.jit(network.random_parts)(jax.random.key(0), x)
    np.testing.assert_allclose(parts, 1, atol=1e-6)  # outside there are zeros


def test_figures_count_what_overlaps_by_more_than_half(config: Callable[..., ConfigDict]):
    settings, _ = prepared(config())
    data = load_digits(settings.data)
    network, searched = wire(settings, data.canvas), compose_searched(settings, data, "test")
    boxes = np.array(searched.boxes)
    boxes[:2] += 5.0
    found = Found(boxes, np.zeros(0), np.zeros(0))
    flat = figures_of(network, "test", found, searched).flat
    assert flat["test/error"] == pytest.approx(2 / 7)
    assert flat["test/overlap"] == pytest.approx(5 / 7)
    middle = np.broadcast_to([-0.5, -0.5, 0.5, 0.5], boxes.shape)
    missed = (np.asarray(overlap(middle, searched.boxes)) <= 0.5).mean()
    assert flat["test/error_unmoved"] == pytest.approx(missed)


def test_the_run_measures_itself_and_its_control(run: Path):
    figures = result(run)
    names = {
        f"test/{one}{end}" for one in ("error", "error_unmoved") for end in ("", "_low", "_high")
    }
    assert {name for name in figures if name.startswith("test/")} == names | {
        "test/overlap",
        "test/hinge",
        "test/hinge_at_objects",
    }
    assert "7 images that have a 1 in common" in json.dumps(figures["protocol"])
    pictures = {path.name for path in (run / "pictures").iterdir()}
    assert pictures == {"transforms.png", "transforms.gif", "curves.png"}


def test_it_is_loaded_and_asked(run: Path, tmp_path: Path):
    loaded = load(run)
    levels = np.random.default_rng(0).integers(0, 255, (20, 20), np.uint8)
    out = jax.jit(loaded.apply)(jnp.asarray(levels)[None, ..., None] / 255, jax.random.key(0))
    Image.fromarray(levels).save(tmp_path / "one.png")
    places, png = infer(run, [str(tmp_path / "one.png"), str(tmp_path / "none.png")])
    assert png.startswith(b"\x89PNG")
    left, top = np.asarray(out.where[0, :, 2] + 1) * 10 - 5
    box = places[0].record["box"]
    assert box == pytest.approx([left, top, left + 10, top + 10], abs=1e-3)
    assert "one.png: x " in places[0].line
    assert "not read" in places[1].line


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"data__task": "cluttered"}, "data.task must be colocalised, whose boxes are known"),
        ({"data__common": 7}, "data.common=7 names no class of the test images, which are 0, 1, 2"),
        ({"data__count": 1}, "data.count must be at least 2; got 1"),
        ({"mechanism__zoom": 1.0}, r"mechanism.zoom must be .* got 1"),
        ({"mechanism__size": 7}, "size must be at least the digit's 10 x 10 pixels; got 9"),
        ({"train__batch": 1}, "train.batch must be at least 2"),
        ({"model__kernels": (30,)}, "a kernel must fit into the map before it, 10x10 here; got 30"),
    ],
)
def test_bad_input_is_one_line(
    config: Callable[..., ConfigDict], changed: dict[str, object], line: str
):
    with pytest.raises(UserError, match=line) as refused:
        prepared(config(**changed))
    assert "\n" not in str(refused.value)
