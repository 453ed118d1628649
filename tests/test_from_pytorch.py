"""What the page for people from PyTorch shows, run block by block, each after the first."""

import importlib.util
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attn_jax

PAGE = (Path(__file__).parents[1] / "docs" / "from_pytorch.md").read_text()
FIRST, *BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = [re.findall(r"^## (.*)", PAGE.split(block)[0], re.MULTILINE)[-1] for block in BLOCKS]
TORCH = importlib.util.find_spec("torch")


def test_the_page_has_its_blocks():
    assert len(BLOCKS) == len(set(BLOCKS)) >= 9
    assert sum("import torch" in block for block in BLOCKS) == 2


@pytest.mark.parametrize("block", BLOCKS, ids=SECTIONS)
def test_a_block_runs(block):
    if "import torch" in block and TORCH is None:
        pytest.skip("torch is not installed")
    scope: dict = {}
    exec(compile(FIRST, "from_pytorch.md", "exec"), scope)
    exec(compile(block, "from_pytorch.md", "exec"), scope)  # most end in a check of their own
    for value in scope.values():
        if isinstance(value, jax.Array | np.ndarray):
            assert np.isfinite(np.asarray(value, np.float32)).all()


def test_every_mode_and_padding_of_the_sampler_is_in_the_table():
    table = PAGE.split("\n## ")[0]
    for option in ("mode", "padding"):
        with pytest.raises(ValueError, match=f"{option} must be one of") as error:
            attn_jax.grid_sample(jnp.zeros((2, 2, 1)), jnp.zeros(2), **{option: "none"})
        for name in re.findall(r"'(\w+)'", str(error.value).split("got")[0]):
            assert f'"{name}"' in table
