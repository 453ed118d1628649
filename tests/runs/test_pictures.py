"""A run asked about pictures, and measured on them: they are prepared as its training data were."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from attn_jax.errors import UserError
from attn_jax.parts.ask import Reading
from attn_jax.runs.evaluate import evaluate
from attn_jax.runs.infer import infer
from tests.tiny import result, small_config, train

CLASSES = ("amber", "blue", "coral")
_COLOURS = np.array([(250, 190, 30), (20, 60, 220), (250, 120, 110)])


def photograph(kind: int, seed: int, rows: int = 30, columns: int = 45) -> Image.Image:
    """A coloured disc on noise."""
    random = np.random.default_rng([kind, seed])
    levels = random.integers(0, 60, (rows, columns, 3))
    y, x = np.mgrid[:rows, :columns]
    levels[(y - rows / 2) ** 2 + (x - columns / 2) ** 2 < (rows / 2.2) ** 2] = _COLOURS[kind]
    return Image.fromarray(levels.astype(np.uint8))


def photographs(root: Path, count: int, classes: tuple[str, ...] = CLASSES) -> Path:
    for (kind, name), i in itertools.product(enumerate(classes), range(count)):
        (root / name).mkdir(parents=True, exist_ok=True)
        photograph(kind, i).save(root / name / f"{i:02}.png")
    return root


def of_folder(path: Path, **changed: Any) -> ConfigDict:
    """The small config on own photographs, of which it is told nothing but where they are."""
    found = {"source": "folder", "size": None, "shift": 0}
    return small_config(path, **{f"data__{k}": v for k, v in found.items()}, **changed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs(tmp_path_factory.mktemp("photos") / "photos", 20)


@pytest.fixture(scope="module")
def learned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned to tell the photographs apart."""
    workdir = tmp_path_factory.mktemp("learned") / "run"
    config = of_folder(
        folder, train__steps=200, train__steps_per_call=50, evaluate__every=100,
        optimizer__learning_rate=1e-2, mechanism__unit=None, log__pictures=True,
    )  # fmt: skip
    train(config, workdir)
    return workdir


def test_a_folder_alone_is_enough_from_training_to_report(learned: Path):
    measured = result(learned)
    assert measured["test/error_mean"] == 0
    assert "45x30 pixels, RGB" in measured["data"]
    assert measured["protocol"].startswith("centered 45x45, ")
    assert "at most 21.5 pixels from the centre" in measured["protocol"]
    page = (learned / "report.html").read_text()
    assert "centered 45×45 images" in page
    assert {"paths.png", "confusion.png"} <= {one.name for one in (learned / "pictures").iterdir()}


def test_reading_the_training_files_agrees_with_measuring_them(learned: Path, folder: Path):
    files = sorted(folder.glob("*/*.png"))
    answers, _ = infer(learned, [str(file) for file in files])
    wrong = [a.path for a in answers if next(iter(a.probabilities)) != Path(a.path).parent.name]
    _, measured = evaluate(learned, source="folder", path=str(folder))
    assert measured["examples"] == len(files)
    assert len(wrong) / len(files) == measured["test/error_m3"] == 0


def test_an_answer_names_the_class_with_its_spread_over_rollouts(learned: Path, folder: Path):
    path = str(folder / "blue" / "00.png")
    [answer], png = infer(learned, [path])
    assert isinstance(answer, Reading)
    assert answer.line.startswith(f"{path}: blue ")
    assert " over 3 rollouts, " in answer.line
    assert answer.line.endswith("   [45x30, in the middle of 45x45]")
    record = json.loads(json.dumps(answer.record))
    assert (record["file"], record["class"], record["rollouts"]) == (path, "blue", 3)
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert record["probability"] == max(record["probabilities"].values())
    assert 0 <= record["spread"] < 0.5
    assert Image.open(io.BytesIO(png)).size > (100, 50)


def test_an_answer_depends_on_no_other_picture(learned: Path, folder: Path):
    files = [str(file) for file in sorted(folder.glob("*/0[0-2].png"))]
    alone = [infer(learned, [file])[0][0] for file in files]
    assert infer(learned, files)[0] == alone
    assert infer(learned, files[::-1])[0][::-1] == alone


def test_what_cannot_be_read_has_its_reason_and_the_others_their_answers(
    learned: Path, folder: Path, tmp_path: Path
):
    (tmp_path / "a.txt").write_text("hello")
    good = str(folder / "blue" / "00.png")
    answers, png = infer(learned, [str(tmp_path / "a.txt"), good, str(tmp_path / "none.png")])
    assert "a.txt is not one" in answers[0].line
    assert answers[1] == infer(learned, [good])[0][0]
    assert answers[2].record == {
        "file": str(tmp_path / "none.png"),
        "refused": f"there is no file {tmp_path / 'none.png'}",
    }
    assert png.startswith(b"\x89PNG")
    assert infer(learned, [str(tmp_path / "none.png")])[1] == b""


def test_another_folder_is_matched_by_name(learned: Path, tmp_path: Path):
    new = photographs(tmp_path / "new", 3)
    (new / "amber").rename(tmp_path / "gone")
    _, measured = evaluate(learned, source="folder", path=str(new))
    assert (measured["examples"], measured["test/error_mean"]) == (6, 0)
    assert "no test images of amber" in measured["data"]
    other = photographs(tmp_path / "other", 3, ("amber", "bus", "car"))
    with pytest.raises(UserError, match=r"the classes amber, blue, coral; .* has also bus, car\Z"):
        evaluate(learned, source="folder", path=str(other))
    with pytest.raises(UserError, match=r"\Athere are no train images: new, 3 classes"):
        evaluate(learned, source="folder", path=str(new), split="train")


@pytest.mark.slow
def test_moved_photographs_resume_a_run(folder: Path, tmp_path: Path):
    first = photographs(tmp_path / "photos", 8)
    workdir = tmp_path / "run"
    train(of_folder(first, train__steps=4), workdir)
    moved = first.rename(tmp_path / "moved")
    train(of_folder(moved, train__steps=8), workdir)
    assert result(workdir)["resumed_from"] == [4]
    photograph(0, 99).save(moved / "blue" / "00.png")
    with pytest.raises(UserError, match=r"holds a run of other data: digest: "):
        train(of_folder(moved, train__steps=12), workdir)


@pytest.mark.parametrize(
    "channels", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (4, 5))]
)
def test_images_of_any_channels_train_and_finish(
    channels: int, tmp_path: Path, config_of: Callable[..., ConfigDict]
):
    random, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 40), ("test", 12)):
        arrays[f"x_{part}"] = random.integers(0, 256, (count, 10, 10, channels), np.uint8)
        arrays[f"y_{part}"] = np.arange(count) % 3
    np.savez(tmp_path / "a.npz", **arrays)
    config = config_of(data__path=str(tmp_path / "a.npz"), train__steps=4, log__pictures=True)
    page = train(config, tmp_path / "run").read_text()
    shown = {2: "Channel 1 of 2 is", 4: "Channels 1 to 3 of 4 are", 5: "Channels 1 to 3 of 5 are"}
    assert f"{shown[channels]} shown." in page
    path = str(tmp_path / "a.png")
    photograph(0, 0).save(path)
    [answer], _ = infer(tmp_path / "run", [path])
    assert ("1, 3 or 4 channels" in answer.line) == (channels != 4)


def test_digits_are_read_alike_on_either_paper(
    tmp_path: Path, config_of: Callable[..., ConfigDict]
):
    workdir = tmp_path / "run"
    train(config_of(data__digits=True, train__steps=4), workdir)
    ink = np.zeros((30, 40), np.uint8)
    ink[5:25, 8:14] = 255
    paths = [str(tmp_path / "light.png"), str(tmp_path / "dark.png")]
    for path, levels in zip(paths, (ink, 255 - ink), strict=True):
        Image.fromarray(levels).save(path)
    (light, dark), _ = infer(workdir, paths)
    assert light.probabilities == dark.probabilities
    assert ["inverted" in one.preparation for one in (light, dark)] == [False, True]
    Image.fromarray(np.full((50, 50), 240, np.uint8)).save(paths[0])
    assert "has no ink" in infer(workdir, paths[:1])[0][0].line
