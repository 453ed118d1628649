"""The lecture's page: every block of code runs, and every picture is one that the command draws."""

import re
from pathlib import Path

import pytest

from attn_jax.training import lecture

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/attention_101.md").read_text()
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PICTURES = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)


def blocks():
    """Each block after as many empty lines as stand above it, so that errors name lines of the page."""
    for found in BLOCK.finditer(PAGE):
        yield "\n" * PAGE[: found.start(1)].count("\n") + found[1]


def test_every_block_runs_in_order_and_its_asserts_hold():
    scope = {}
    for block in blocks():
        exec(compile(block, "docs/attention_101.md", "exec"), scope)
