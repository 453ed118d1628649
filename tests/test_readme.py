"""What the README shows, run: its code, its table of mechanisms, its commands."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import estimators, modules, ops

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SCOPE = {name: getattr(room, name) for room in (modules, estimators, ops) for name in vars(room)}


def section(title):
    """The text under a heading, up to the next."""
    return README.split(f"## {title}\n")[1].split("\n## ")[0]


CELLS = re.findall(r"`(Attend\(.*?\))`", section("The square of mechanisms"))
COMMANDS = sorted(set(re.findall(r"python -m experiments\.(\w+)", README)))
CONFIGS = sorted(set(re.findall(r"--config=(\S+\.py)", README)))


def test_the_code_runs_and_gives_finite_gradients():
    scope = {}
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(code, "README.md", "exec"), scope)
    assert scope["where"].shape == (4, 6, 2)
    gradients = jax.tree.leaves(scope["grads"])
    assert len(gradients) == len(jax.tree.leaves(scope["variables"]))
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert any(np.any(gradient) for gradient in gradients)
    assert np.isfinite(scope["figures"]["loss"])
    assert scope["logits"].shape == (4, 6, 10)
    assert np.ptp(scope["logits"]) > 0


def test_the_square_has_five_mechanisms():
    assert len(CELLS) == len(set(CELLS)) == 5


@pytest.mark.parametrize("cell", CELLS)
def test_each_mechanism_of_the_square_attends(cell):
    attend = eval(cell, dict(SCOPE))
    x = jax.random.uniform(jax.random.key(0), (2, 16, 16, 1))
    keys = jax.random.split(jax.random.key(1), 2)

    def glimpse(module, x, s, keys):
        return module(module.prepare(x), s, keys, jnp.asarray(True))

    inputs = (x, jnp.ones((2, 4)), keys)
    shapes = jax.eval_shape(lambda: attend.init(jax.random.key(2), *inputs, method=glimpse))
    variables = jax.tree.map(lambda a: jnp.full(a.shape, 0.1), shapes)  # no sampling to compile
    seen, selection = jax.jit(lambda v: attend.apply(v, *inputs, method=glimpse))(variables)
    assert seen.shape[0] == len(selection.where) == 2
    assert np.isfinite(seen).all()
    assert np.any(seen)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_exists(name):
    assert (ROOT / "experiments" / f"{name}.py").is_file()


@pytest.mark.parametrize("path", CONFIGS)
def test_each_config_exists(path):
    assert (ROOT / path).is_file()


def test_all_commands_are_shown():
    files = {path.stem for path in (ROOT / "experiments").glob("*.py")}
    assert set(COMMANDS) == files - {"__init__", "cells", "cli", "signals"}
    assert CONFIGS
