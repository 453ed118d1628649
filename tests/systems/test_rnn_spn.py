"""Spatial transformers one after the other: what they read, what is measured, what is refused."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from attn_jax.data import Images
from attn_jax.errors import UserError
from attn_jax.ops import affine
from attn_jax.parts.ask import _of_sequences
from attn_jax.parts.policies import Answers
from attn_jax.runs.infer import infer
from attn_jax.runs.load import load
from attn_jax.systems.spatial_transformer.measuring import Measured
from tests.tiny import prepared, result, train, transformer_config

SEQUENCE = {
    "data__task": "sequence",
    "data__size": 32,
    "data__shift": 0,
    "data__pieces": 2,
    "data__piece": 3,
    "mechanism__steps": 3,
    "model__core_widths": (5,),
    "model__localisation_hidden": (),
    "model__localisation_shrink": 4,
    # Dense layers compile quickly.
    "model__localisation_filters": (),
    "model__localisation_kernels": (),
    "model__filters": (),
    "model__kernels": (),
    "model__hidden": (4,),
    "evaluate__shift": 0,
}


@pytest.fixture(scope="session")
def config(data: Path) -> Callable[..., ConfigDict]:
    return lambda **changed: transformer_config(data, **{**SEQUENCE, **changed})


@pytest.fixture(scope="module")
def run(config: Callable[..., ConfigDict], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    train(config(log__pictures=True), folder)
    return folder


def test_each_step_reads_by_a_transform_of_its_state(run: Path):
    loaded = load(run)
    x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 1))
    out = jax.jit(loaded.apply)(x, jax.random.key(0))
    assert (out.logits.shape, len(out.where)) == ((2, 3, 3), 3)
    assert len({tuple(np.asarray(where).ravel()) for where in out.where}) == 3
    read = jax.jit(jax.vmap(affine(8, padding="zeros").apply))
    for where, view in zip(out.where, out.views, strict=True):
        np.testing.assert_allclose(view, read(x, where), atol=1e-6)


def test_an_answer_depends_on_what_its_step_reads_alone(run: Path):
    loaded = load(run)
    views = jax.random.uniform(jax.random.key(0), (3, 2, 8, 8, 1))
    answer = jax.jit(partial(loaded.module.apply, loaded.variables, method="classify_views"))
    first, other = answer([*views]), answer([*views.at[1].set(0.5)])
    moved = np.abs(np.asarray(first - other)).max((0, 2))
    assert moved[1] > 0
    np.testing.assert_array_equal(moved[[0, 2]], 0)


def test_the_run_measures_objects_and_whole_images(run: Path):
    figures = result(run)
    tested = {name for name in figures if name.startswith("test/")}
    ways = ("error", "error_unmoved", "sequence_error")
    assert tested == {f"test/{way}{end}" for way in ways for end in ("", "_low", "_high")}
    assert figures["test/error"] <= figures["test/sequence_error"]
    page = (run / "report.html").read_text()
    assert "objects, 3 of each image" in page
    assert "3 affine transforms one after the other by a gru of 5 units" in page


def test_an_image_is_wrong_if_one_of_its_objects_is():
    labels = np.array([[0, 1, 2], [0, 1, 2], [0, 1, 2]])
    given = np.array([[0, 1, 2], [0, 2, 2], [1, 2, 0]])
    images = Images(np.zeros((3, 4, 4, 1), np.uint8), labels)
    answers = {"": Answers(given.reshape(-1, 1), labels.reshape(-1))}
    flat = Measured("test", images, answers).figures.flat
    assert flat["test/error"] == pytest.approx(4 / 9)
    assert flat["test/sequence_error"] == pytest.approx(2 / 3)


@pytest.mark.slow
def test_a_picture_is_read_as_a_sequence(run: Path, tmp_path: Path):
    picture = tmp_path / "one.png"
    levels = np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)
    Image.fromarray(levels).save(picture)
    [reading], png = infer(run, [str(picture)])
    assert png.startswith(b"\x89PNG")
    loaded = load(run)
    x = jnp.asarray(levels)[None, ..., None] / 255
    p = jax.nn.softmax(loaded.apply(x, jax.random.key(0)).logits[0])
    best = " ".join(loaded.facts["classes"][c] for c in np.asarray(p.argmax(-1)))
    assert reading.record["class"] == best
    assert reading.record["probability"] == pytest.approx(float(p.max(-1).prod()), abs=1e-5)


def test_sequences_are_ranked_as_independent_objects():
    p = np.array([[[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]]])
    of_each, names = _of_sequences(p, "abcd")
    found = dict(zip(names, of_each[0].tolist(), strict=True))
    assert len(found) == 9
    assert "a a" not in found  # the second object's least likely class
    assert found["a d"] == pytest.approx(0.2)
    assert found["c b"] == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"mechanism__steps": 0}, "data.task=sequence asks for 3 answer.* mechanism.steps is 0"),
        ({"mechanism__steps": 2}, "data.task=sequence asks for 3 answer.* mechanism.steps is 2"),
        ({"data__task": "centered"}, "data.task=centered asks for one answer"),
        ({"mechanism__parallel": 2}, "mechanism.steps=3 needs mechanism.parallel of 1; got 2"),
        ({"mechanism__transform": "none"}, "mechanism.steps needs a mechanism.transform; got none"),
    ],
)
def test_bad_input_is_one_line(
    config: Callable[..., ConfigDict], changed: dict[str, object], line: str
):
    with pytest.raises(UserError, match=line) as refused:
        prepared(config(**changed))
    assert "\n" not in str(refused.value)
