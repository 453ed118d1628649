"""The native library's life: found, built by one of several, missing, damaged, refused."""

import logging
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import jax.numpy as jnp
import pytest

import attn_jax
from attn_jax.ops import native
from attn_jax.ops.native import cache, library

CACHES = (library._compiler, library._load, library._decide)
NO_COMPILER = r"C\+\+17 compiler, and g\+\+ or clang\+\+ or c\+\+ is not there: set CXX"
needs_compiler = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache folder, and nothing remembered of compilers and libraries."""
    monkeypatch.setenv("ATTN_JAX_CACHE", str(tmp_path / "cache"))
    for cached in CACHES:
        cached.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    for cached in CACHES:
        cached.cache_clear()


def use_compiler(folder, monkeypatch, body):
    """A stand-in: a shell script that is handed -o and a path last."""
    script = folder / "compiler"
    script.write_text(f"#!/bin/sh\ncat > /dev/null\nfor out; do :; done\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("CXX", str(script))


def names():
    """The folder's files, but for locks."""
    return sorted(p.name for p in library.path().parent.iterdir() if p.suffix != ".lock")


def wait_for(condition):
    ended = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ended
        time.sleep(0.02)


def made():
    """The library without its seal."""
    return library.path().read_text()[:-64]


def refused(caplog):
    """Native code is not used, and one warning says why."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert not native.preferred()
        assert not native.preferred()
    assert [r.name for r in caplog.records] == ["attn_jax.ops.native.library"]
    return caplog.text


def test_without_a_compiler_one_line_says_so_and_native_is_refused(fresh, monkeypatch, caplog):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(fresh))
    assert "sampling through XLA, not natively: it needs a C++17 compiler" in refused(caplog)
    with pytest.raises(RuntimeError, match=NO_COMPILER):
        native.build()
    with pytest.raises(RuntimeError, match=NO_COMPILER):
        native.sample(jnp.ones((2, 3, 11)), jnp.zeros((1, 2)))


@pytest.mark.parametrize("command", ["nowhere", "'open quote", " "])
def test_a_compiler_that_is_named_but_not_there(fresh, monkeypatch, caplog, command):
    monkeypatch.setenv("CXX", command)
    assert f"CXX={command} is not there" in refused(caplog)


def test_two_that_build_at_once_compile_once(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'echo >> "$0.calls"; printf one > "$out"; sleep 0.3')
    monkeypatch.setattr(cache, "load", checked_but_not_loaded)
    threads = [threading.Thread(target=library._build) for _ in range(3)]
    monkeypatch.setattr(library, "_load", dict)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names() == [library.path().name]
    assert made() == "one"
    assert (fresh / "compiler.calls").read_text().count("\n") == 1


def checked_but_not_loaded(path):
    if not path.exists():
        raise FileNotFoundError(path)
    if not path.read_text().startswith("one"):
        raise cache.Damaged(path)


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'printf half > "$out"; echo "no such flag" >&2; exit 1')
    with pytest.raises(RuntimeError, match=r"could not compile sample.cc: .*no such flag"):
        native.build()
    assert names() == []


def test_a_library_that_cannot_be_loaded_is_passed_over(fresh, monkeypatch, caplog):
    use_compiler(fresh, monkeypatch, 'echo >> "$0.calls"; printf nonsense > "$out"')
    with pytest.raises(RuntimeError, match="cannot be made: .*invalid ELF header"):
        native.build()
    assert "invalid ELF header" in refused(caplog)
    with pytest.raises(RuntimeError, match="cannot be loaded: .*invalid ELF header"):
        native.build()
    assert (fresh / "compiler.calls").read_text().count("\n") == 1  # another would be no better


@pytest.mark.parametrize("kept", [0, 3, 5000, -1])
def test_a_damaged_library_is_not_loaded_and_made_again(fresh, monkeypatch, caplog, kept):
    use_compiler(fresh, monkeypatch, "head -c 10000 /dev/zero > $out")
    with pytest.raises(RuntimeError, match="invalid ELF header"):
        native.build()
    whole = library.path().read_bytes()
    library.path().write_bytes(whole[:kept])
    assert "is damaged" in refused(caplog)
    wait_for(lambda: library.path().read_bytes() == whole)


def test_a_folder_in_its_place_is_passed_over(fresh, caplog, monkeypatch):
    use_compiler(fresh, monkeypatch, "exit 0")
    library.path().parent.mkdir()
    library.path().mkdir()
    assert "Is a directory" in refused(caplog)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners of files")
def test_what_others_could_have_written_is_refused(fresh, monkeypatch, caplog):
    use_compiler(fresh, monkeypatch, 'printf nonsense > "$out"')
    with pytest.raises(RuntimeError):
        native.build()
    library.path().chmod(0o775)
    assert "can be written by others (-rwxrwxr-x)" in refused(caplog)
    library.path().chmod(0o755)
    library._decide.cache_clear()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert f"belongs to user {owner}, not to {owner + 1}" in refused(caplog)
    with pytest.raises(RuntimeError, match="belongs to user"):
        native.build()


def test_a_library_is_closed_to_others_whatever_the_umask(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'umask 0; printf nonsense > "$out"')
    with pytest.raises(RuntimeError):
        native.build()
    assert stat.S_IMODE(library.path().stat().st_mode) == 0o755
    assert stat.S_IMODE(library.path().parent.stat().st_mode) & 0o077 == 0


def test_a_compiler_may_be_a_command_of_several_words(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'printf whole > "$out"')
    monkeypatch.setenv("CXX", f"env {os.environ['CXX']}")
    assert library._compiler()[1:] == (str(fresh / "compiler"),)
    with pytest.raises(RuntimeError, match="cannot be made"):
        native.build()
    assert made() == "whole"


def test_a_build_in_the_background_that_fails_says_so(fresh, monkeypatch, caplog):
    use_compiler(fresh, monkeypatch, 'echo "no such flag" >&2; exit 1')
    assert not native.preferred()
    wait_for(lambda: "no such flag" in caplog.text)


def test_a_build_in_the_background_is_there_for_the_next(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'sleep 0.2; echo >> "$0.calls"; printf done > "$out"')
    started = time.monotonic()
    assert not native.preferred()
    assert time.monotonic() - started < 0.2 or not library.path().exists()
    wait_for(library.path().exists)
    assert not native.preferred()  # this process has begun with XLA
    assert made() == "done"
    assert (fresh / "compiler.calls").read_text().count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_error(fresh, monkeypatch, caplog):
    (fresh / "file").write_text("")
    use_compiler(fresh, monkeypatch, "exit 0")
    monkeypatch.setenv("ATTN_JAX_CACHE", str(fresh / "file" / "cache"))
    with pytest.raises(RuntimeError, match="implementation='native' .*Not a directory"):
        native.build()
    assert "Not a directory" in refused(caplog)


def test_without_a_home_and_a_name_there_is_no_cache(fresh, monkeypatch, caplog):
    for name in ("ATTN_JAX_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert "no home folder, and ATTN_JAX_CACHE is not set" in refused(caplog)


def test_a_relative_folder_is_not_searched_for_along_the_loaders_path(fresh, monkeypatch):
    monkeypatch.chdir(fresh)
    monkeypatch.setenv("ATTN_JAX_CACHE", ".")
    assert library.path().is_absolute() and library.path().parent == fresh


@needs_compiler
def test_a_library_outlives_its_compiler(monkeypatch):
    native.build()
    for cached in CACHES:
        cached.cache_clear()
    monkeypatch.setenv("CXX", os.devnull)
    assert library._compiler() is None
    assert native.preferred()
    library._compiler.cache_clear()


def python(code, **environment):
    environment = {**os.environ, "ATTN_JAX_IMPLEMENTATION": "", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


SAMPLE = """
import jax, jax.numpy as jnp, attn_jax
sample = jax.jit(attn_jax.grid_sample)
text = sample.lower(jnp.ones((4, 4, 1)), jnp.zeros((2, 2))).as_text()
print("native" if "attn_jax_sample" in text else "xla", attn_jax.__file__)
assert float(sample(jnp.ones((4, 4, 1)), jnp.zeros((2, 2))).sum()) == 2
"""


def test_a_package_in_a_zip_samples(tmp_path):
    root = Path(attn_jax.__file__).parent
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in root.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                packed.write(file, file.relative_to(root.parent))
    code = f"import sys; sys.path.insert(0, {str(archive)!r}){SAMPLE}"
    out = python(code, ATTN_JAX_CACHE=str(tmp_path), CXX=os.devnull)
    assert out.startswith("xla") and "code.zip" in out


@needs_compiler
def test_a_program_compiled_by_another_process_runs(tmp_path):
    native.build()
    head = """
import pickle, jax, jax.numpy as jnp, attn_jax
from jax.experimental import serialize_executable as executable
arguments = jnp.ones((4, 4, 1)), jnp.zeros((2, 2))
"""
    file = str(tmp_path / "program")
    folder = {"ATTN_JAX_CACHE": str(library.path().parent)}
    python(f"""{head}
program = jax.jit(attn_jax.grid_sample).lower(*arguments).compile()
assert "attn_jax_sample" in program.as_text()
pickle.dump(executable.serialize(program), open({file!r}, "wb"))
""", **folder)  # fmt: skip
    python(f"""{head}
program = executable.deserialize_and_load(*pickle.load(open({file!r}, "rb")))
assert float(program(*arguments).sum()) == 2
""", **folder)  # fmt: skip


@needs_compiler
def test_all_of_a_process_is_sampled_by_one_implementation(tmp_path):
    native.build()
    script = tmp_path / "compiler"
    script.write_text(f'#!/bin/sh\nfor out; do :; done\ncp {library.path()} "$out"\n')
    script.chmod(0o755)
    code = (
        SAMPLE
        + """
import time
from attn_jax.ops.native import library
while not library.path().exists():
    time.sleep(0.05)
text = jax.jit(lambda *a: attn_jax.grid_sample(*a)).lower(jnp.ones((4, 4, 1)), jnp.zeros((2, 2)))
print("native" if "attn_jax_sample" in text.as_text() else "xla")
"""
    )
    folder = {"ATTN_JAX_CACHE": str(tmp_path / "cache"), "CXX": str(script)}
    assert [line.split()[0] for line in python(code, **folder).splitlines()] == ["xla", "xla"]
    assert [line.split()[0] for line in python(code, **folder).splitlines()] == ["native"] * 2


def test_processes_that_start_together_compile_once(tmp_path):
    script = tmp_path / "compiler"
    script.write_text(
        '#!/bin/sh\nfor out; do :; done\necho >> "$0.calls"\nsleep 4\necho > "$out"\n'
    )
    script.chmod(0o755)
    environment = {
        **os.environ, "ATTN_JAX_IMPLEMENTATION": "", "CXX": str(script),
        "ATTN_JAX_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    code = "from attn_jax.ops import native; native.preferred(); import time; time.sleep(1)"
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert (tmp_path / "compiler.calls").read_text().count("\n") == 1


def test_another_source_is_another_library(fresh, monkeypatch):
    first = library.path()
    monkeypatch.setattr("attn_jax.ops.native.source.digest", lambda: "other")
    assert library.path() != first
