"""The lecture's page: every block of code runs, and every picture is one that the command draws."""

import io
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from attn_jax.studies import attention_101 as lecture

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "attention_101.md").read_text()
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINKS = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)
MADE = [link for link in LINKS if link.startswith("attention_101/")]


@pytest.fixture
def _compiled_quickly():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_every_block_runs_in_order_and_its_asserts_hold(_compiled_quickly):
    scope = {}
    for block in BLOCK.finditer(PAGE):
        above = PAGE[: block.start(1)].count("\n")  # so that an error names the line of the page
        exec(compile("\n" * above + block[1], "docs/attention_101.md", "exec"), scope)
    close, zero = scope["close"], np.zeros(2)
    assert close(zero, zero) and not (close(zero, zero + 1e-4) or close(zero, np.zeros((2, 1))))


def test_every_equation_stands_above_its_code():
    followed = re.findall(r"^\$\$.*\$\$\n\n(.*)$", PAGE, re.MULTILINE)
    assert len(followed) == PAGE.count("\n$$") > 10
    assert set(followed) == {"```python"}
    assert BLOCK.sub("", PAGE).count("```python") == 0
    assert all("assert" in block or "def f_att" in block for block in BLOCK.findall(PAGE)[1:])


def test_the_pictures_of_the_page_are_those_of_the_command():
    assert sorted(MADE) == sorted(f"attention_101/{name}.png" for name in lecture.PICTURES)
    assert sorted(MADE) == sorted(f"attention_101/{p.name}" for p in DOCS.glob("attention_101/*"))
    assert all((DOCS / link).stat().st_size < 150_000 for link in LINKS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lecture") / "new"
    return {path.name: path.read_bytes() for path in lecture.draw(folder)}


@pytest.mark.slow
@pytest.mark.parametrize("link", MADE)
def test_each_picture_is_the_one_in_docs_up_to_rounding(drawn, link):
    now, kept = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float)
        for png in (drawn[Path(link).name], (DOCS / link).read_bytes())
    )
    assert now.shape == kept.shape
    assert np.abs(now - kept).mean() < 2  # of 255 levels
