"""Runs of every system, killed at random moments, end as one that was left alone."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attn_jax.systems import SYSTEMS
from tests.tiny import ROOT


@pytest.mark.slow
def test_killed_runs_go_on_bit_for_bit(tmp_path: Path):
    """ATTN_JAX_KILLS kills in all, 60 by default."""
    kills = int(os.environ.get("ATTN_JAX_KILLS", "60"))
    line = [sys.executable, "-m", "tests.training.kills", str(kills), str(tmp_path)]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    killed = ast.literal_eval(done.stdout.splitlines()[-1])
    assert killed.keys() == SYSTEMS.keys()
    assert sum(killed.values()) >= kills
    print(done.stdout.splitlines()[-1])
