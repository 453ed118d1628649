"""What the page about a user's own modules shows, run block by block, each after the first."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "from_your_modules.md").read_text()
FIRST, *BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run(block: str) -> dict:
    scope: dict = {}
    for code in (FIRST, block):
        exec(compile(code, "from_your_modules.md", "exec"), scope)
    return scope


def test_the_page_has_its_blocks():
    assert len(BLOCKS) == 4
    assert ["ToNNX" in block for block in BLOCKS] == [False, False, True, True]


@pytest.mark.parametrize("block", BLOCKS, ids=["linen", "transformer", "nnx", "nnx, rollouts"])
def test_a_block_runs(block: str):
    scope = run(block)
    for name in {"losses", "gradient", "variables"} & set(scope):
        leaves = jax.tree.leaves(scope[name])
        assert leaves and all(np.isfinite(leaf).all() for leaf in leaves)
        assert any(np.any(leaf) for leaf in leaves)
