"""Imports point one way, and each room's third-party ones are those that it may have."""

import ast
import sys
from pathlib import Path

import pytest

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
