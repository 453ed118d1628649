"""The tutorial, done: docs/add_a_system.md applied to a copy, trained, resumed and asked."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import ROOT, environment

PAGE = (ROOT / "docs" / "add_a_system.md").read_text()
FILES = re.findall(r"^## \d\. The \w+: `(\S+)`$.*?^```python\n(.*?)^```$", PAGE, re.M | re.S)
[ROW] = re.findall(r"^```diff\n(.*?)^```$", PAGE, re.M | re.S)
NAME = "softmax_regression"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with the new system in it."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("attn_jax", "configs", "experiments"):
        skipped = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=skipped)
    for path, text in FILES:
        assert not (root / path).exists()
        (root / path).write_text(text)
    table = root / "attn_jax/systems/__init__.py"
    table.write_text(patched(table.read_text(), ROW))
    return root


def patched(text: str, diff: str) -> str:
    """The text after a diff of single lines, each removed or context line standing once."""
    before, after = [], []
    for line in diff.splitlines():
        if line == "@@":
            text = replaced(text, before, after)
            before, after = [], []
        else:
            before += [line[1:]] if line[0] in " -" else []
            after += [line[1:]] if line[0] in " +" else []
    return replaced(text, before, after)


def replaced(text: str, before: list[str], after: list[str]) -> str:
    assert text.count("\n".join(before)) == 1, before
    return text.replace("\n".join(before), "\n".join(after))


def ran(copy: Path, cache: Path, *args: str) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", *args]
    env = environment(cache, PYTHONPATH=str(copy))
    return subprocess.run(line, cwd=copy, env=env, capture_output=True, text=True)


def test_the_page_adds_a_model_a_system_a_config_and_a_row():
    assert [path for path, _ in FILES] == [
        f"{folder}/{NAME}.py" for folder in ("attn_jax/models", "attn_jax/systems", "configs")
    ]


def test_the_new_system_trains_resumes_is_reported_evaluated_and_asked(
    copy: Path, jax_cache: Path, tmp_path: Path
):
    workdir = f"--workdir={tmp_path}/run"
    config = f"--config=configs/{NAME}.py:tiny"
    for steps in (4, 8):  # the second goes on where the first ended
        overrides = [f"--config.train.steps={steps}", "--config.train.batch=64"]
        done = ran(copy, jax_cache, "experiments.train", config, workdir, *overrides)
        assert (done.returncode, done.stderr) == (0, "")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["steps"], result["resumed_from"]) == (8, [4])
    assert 0 < result["test/error"] < 0.9
    assert "Softmax regression" in (tmp_path / "run" / "report.html").read_text()

    done = ran(copy, jax_cache, "experiments.evaluate", workdir)
    assert f"error {100 * result['test/error']:.2f} %" in done.stdout

    ink = np.zeros((40, 40), np.uint8)
    ink[8:32, 18:22] = 255
    Image.fromarray(ink).save(tmp_path / "one.png")
    picture = f"--output={tmp_path}/weights.png"
    done = ran(copy, jax_cache, "experiments.infer", workdir, picture, str(tmp_path / "one.png"))
    assert re.match(rf"{tmp_path}/one.png: \d\n", done.stdout), done.stderr
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")


def test_its_fields_are_told(copy: Path, jax_cache: Path):
    done = ran(copy, jax_cache, "experiments.train", f"--config=configs/{NAME}.py", "--helpconfig")
    assert re.search(
        r"^data.pieces +4 +clutter: how many pieces of .*  \(at least 0\)$", done.stdout, re.M
    )
    assert "mechanism" not in done.stdout
