"""The package as it is imported: its names, its base dependencies alone, its version."""

import ast
import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import attn_jax

ROOT = Path(__file__).parents[1]

# What the extras and the tests install; absl comes with flax, which imports it.
BLOCKED = [
    "PIL",
    "array_record",
    "beartype",
    "chex",
    "hypothesis",
    "importlib_resources",
    "matplotlib",
    "ml_collections",
    "mlxtend",
    "onnx",
    "orbax",
    "pytest",
    "scipy",
    "tensorboardX",
    "tensorflow",
    "tensorflow_datasets",
    "tqdm",
    "xdist",
]

PUBLIC = [
    "Baseline",
    "Estimator",
    "Read",
    "Selection",
    "Trace",
    "__version__",
    "affine",
    "affine_grid",
    "affine_sample",
    "baselines",
    "check_fit",
    "control_grid",
    "crop",
    "data",
    "estimators",
    "gaussian_grid",
    "grid_sample",
    "laboratory",
    "load",
    "losses",
    "models",
    "modules",
    "ops",
    "projective",
    "projective_grid",
    "retina",
    "tasks",
    "thin_plate_spline",
    "thin_plate_spline_grid",
    "transforms",
    "types",
    "viz",
]

FINDER = f"""
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Finder())
"""


def run(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def blocked(code):
    return run(FINDER + code)


def test_the_library_imports_without_any_extra():
    names = ", ".join(f"attn_jax.{room}" for room in PUBLIC_MODULES)
    done = blocked(f"import {names}\nprint(attn_jax.ops.retina(8).takes)")
    assert (done.returncode, done.stdout) == (0, "point\n"), done.stderr


def test_the_block_blocks():
    assert "blocked: matplotlib" in blocked("import matplotlib").stderr


def test_no_import_starts_the_backend():
    """The processes of a run join before that, and their commands import first."""
    code = """
import importlib, pkgutil, sys, attn_jax
from jax._src import xla_bridge
for module in pkgutil.walk_packages(attn_jax.__path__, "attn_jax."):
    importlib.import_module(module.name)
    if xla_bridge.backends_are_initialized():
        sys.exit(module.name)
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


PUBLIC_MODULES = [name for name in PUBLIC if (ROOT / "attn_jax" / name).is_dir()]


def test_all_is_a_literal_list_and_every_name_resolves():
    tree = ast.parse((ROOT / "attn_jax/__init__.py").read_text())
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert ast.literal_eval(value) == PUBLIC
    for name in PUBLIC:
        assert getattr(attn_jax, name) is not None


@pytest.mark.parametrize("room", PUBLIC_MODULES)
def test_every_name_of_a_room_resolves(room):
    module = getattr(attn_jax, room)
    assert len(module.__all__) == len(set(module.__all__))  # ruff sorts it
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_rooms_are_attributes_of_the_package_before_they_are_imported():
    code = """
import sys, types, attn_jax
lazy = ["data", "laboratory", "tasks", "viz"]
print([name for name in lazy if f"attn_jax.{name}" in sys.modules or name not in dir(attn_jax)])
print([isinstance(getattr(attn_jax, name), types.ModuleType) for name in lazy])
print(hasattr(attn_jax, "vis"), {"matplotlib", "PIL", "orbax"} & {*sys.modules})
"""
    done = run(code)
    assert done.stdout == "[]\n[True, True, True, True]\nFalse set()\n", done.stderr


def shadowed(package):
    """Modules anywhere in a package whose name there is something else: a function beside them."""
    names = [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for name in names:
        importlib.import_module(name)
    homes = [(name, *name.rpartition(".")[::2]) for name in names]
    return [name for name, home, last in homes
            if getattr(importlib.import_module(home), last) is not sys.modules[name]]  # fmt: skip


def test_no_name_is_both_a_function_and_a_module():
    assert shadowed(attn_jax) == []


def test_a_name_that_is_both_is_found(monkeypatch):
    monkeypatch.setattr(attn_jax.tasks, "metrics", max)
    assert "attn_jax.tasks.metrics" in shadowed(attn_jax)


WITHOUT = {
    "orbax": "attn_jax.load('runs/a')",
    "matplotlib": "attn_jax.viz.learning_curves([{'step': 1, 'loss': 1.0}])",
    "PIL": "attn_jax.viz.rollout_gif(*[None] * 3, sizes=(1,), label=0)",
}


def test_a_missing_extra_is_named():
    lines = ["import sys, attn_jax"]
    for package, call in WITHOUT.items():
        lines += [f"sys.modules[{package!r}] = None", "try:", f"    {call}"]
        lines += ["except ModuleNotFoundError as error:", "    print(error)"]
        lines += [f"del sys.modules[{package!r}]"]
    code = "\n".join(lines)
    done = run(code)
    extra = "pip install 'attn_jax[experiments]'"
    expected = [f"No module named {package!r}; {extra}" for package in WITHOUT]
    assert done.stdout.splitlines() == expected, done.stderr


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert attn_jax.__version__ == project["version"]


def test_the_library_says_it_is_typed():
    assert (ROOT / "attn_jax/py.typed").is_file()
