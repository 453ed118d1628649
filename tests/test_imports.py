"""Imports point one way; the library imports with its base dependencies alone."""

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

# room -> the rooms that it may import; nothing imports what is not listed
MAY_IMPORT = {
    "types": set(),
    "checks": {"types"},
    "errors": set(),
    "fields": {"errors"},
    "records": {"errors"},
    "lock": {"errors"},
    "termination": set(),
    "memory": {"types", "errors"},
    "operations": set(),
    "devices": {"types", "memory"},
    "cluster": {"errors", "fields", "devices", "termination"},
    "checkpoint": {"types", "errors", "records", "devices", "cluster"},
    "ops": {"types"},
    "losses": {"types", "checks"},
    "estimators": {"types", "checks", "ops", "losses"},
    "baselines": {"types", "checks", "ops", "losses"},
    "fit": {"types", "checks", "ops", "estimators"},
    "modules": {"types", "checks", "ops", "fit"},
    "models": {"types", "ops", "modules"},
    "tasks": {"types", "checks", "ops", "losses", "modules", "models"},
    "data": {"types", "errors", "memory", "records", "ops"},
    "viz": {"types", "errors", "records", "ops"},
    "laboratory": {"types", "checks", "ops", "losses", "estimators", "baselines"},
}
LIBRARY = set(MAY_IMPORT)
MAY_IMPORT["training"] = {
    "types",
    "errors",
    "fields",
    "records",
    "lock",
    "memory",
    "devices",
    "cluster",
    "checkpoint",
    "viz",
}
MAY_IMPORT["parts"] = LIBRARY | {"training"}
MAY_IMPORT["systems"] = LIBRARY | {"training", "parts"}
MAY_IMPORT["runs"] = LIBRARY | {"training", "parts", "systems"}
MAY_IMPORT["studies"] = LIBRARY | {"yardsticks", "training", "parts", "systems", "runs"}
MAY_IMPORT["yardsticks"] = LIBRARY - {"fields", "devices", "cluster", "checkpoint"}

BASE = {"jax", "jaxlib", "flax", "optax", "numpy", "jaxtyping"}
WITHOUT_FLAX = (
    "types",
    "checks",
    "errors",
    "fields",
    "ops",
    "losses",
    "estimators",
    "baselines",
    "fit",
    "laboratory",
)
BARE = (*WITHOUT_FLAX, "modules", "models", "tasks")

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


def sources(*folders):
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert files
    return files


def imports(path):
    """The absolute names a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path):
    return path.relative_to(ROOT / "attn_jax").parts[0].removesuffix(".py")


def rooms():
    return {room_of(path) for path in sources("attn_jax")} - {"__init__"}


def files_of(room):
    return [path for path in sources("attn_jax") if room_of(path) == room]


def third_party(room):
    names = {name.split(".")[0] for path in files_of(room) for name in imports(path)}
    return names - set(sys.stdlib_module_names) - {"attn_jax"}


def own(room):
    """The other rooms a room imports, `from attn_jax import ops` included."""
    names = {name for path in files_of(room) for name in imports(path)}
    assert "attn_jax" not in names  # it would hide which room is meant
    return {name.split(".")[1] for name in names if name.startswith("attn_jax.")} - {room}


def test_every_room_has_a_rule():
    assert rooms() == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_before_it(room):
    assert own(room) <= MAY_IMPORT[room]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_room_sees_a_config_dict_or_an_experiment(room):
    assert not third_party(room) & {"ml_collections", "absl", "configs", "experiments"}


def modules_of(room):
    """name -> path of every module in a room."""
    names = {}
    for path in files_of(room):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names[name.removesuffix(".__init__")] = path
    return names


def edges(names):
    """name -> the modules of the same room that it imports, TYPE_CHECKING included."""

    def nearest(name):
        while name and name not in names:
            name = name.rpartition(".")[0]
        return name

    return {name: {nearest(one) for one in imports(path)} - {"", name}
            for name, path in names.items()}  # fmt: skip


def circle(graph):
    """One circle of a graph as a list of names; [] if there is none."""
    done = set()

    def walk(name, path):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        found = next(filter(None, (walk(one, [*path, name]) for one in graph[name])), [])
        done.add(name)
        return found

    return next(filter(None, (walk(name, []) for name in graph)), [])


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_room_has_a_circle(room):
    assert circle(edges(modules_of(room))) == []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_system_imports_another():
    for path in files_of("systems"):
        mine = path.relative_to(ROOT / "attn_jax/systems").parts[0].removesuffix(".py")
        named = [name.split(".") for name in imports(path) if name.startswith("attn_jax.systems.")]
        assert mine == "__init__" or {name[2] for name in named} <= {mine}


def test_the_engine_is_small_and_holds_no_word_of_classification():
    files = files_of("training")
    text = "".join(path.read_text() for path in files)
    assert len(files) <= 13
    assert text.count("\n") <= 1100
    words = ["error_mean", "accuracy", "classif", "label", "glimpse", "digit", "image", "token"]
    assert not [word for word in words if word in text.lower()]


@pytest.mark.parametrize("room", BARE)
def test_the_library_imports_its_base_dependencies_alone(room):
    assert third_party(room) <= BASE


@pytest.mark.parametrize("room", WITHOUT_FLAX)
def test_parameters_are_made_in_modules_alone(room):
    assert "flax" not in third_party(room)


@pytest.mark.parametrize("path", sources("configs"), ids=lambda p: p.name)
def test_configs_import_only_configs(path):
    allowed = {"ml_collections", "configs", "collections"}
    assert {name.split(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("folder", ["attn_jax", "configs", "experiments", "tests"])
def test_no_import_takes_everything(folder):
    assert not [p for p in sources(folder) for name in imports(p) if name.endswith(".*")]


def test_the_reader_of_imports_sees_every_form(tmp_path):
    file = tmp_path / "file.py"
    file.write_text("import a.b\ndef f():\n    from c import d, e as g\n    from h import *\n")
    assert sorted(imports(file)) == ["a.b", "c.d", "c.e", "h.*"]


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
