"""The native library's life: found, built by several at once, missing, refused."""

import logging
import os
import shutil
import stat
import threading
import time

import jax.numpy as jnp
import pytest

from attn_jax.ops import native
from attn_jax.ops.native import library

CACHES = (library._compiler, library._digest, library._start_once, library._warn_without_compiler)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache folder, and nothing remembered of compilers."""
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
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\nfor out; do :; done\n{body}\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("CXX", str(script))


def names():
    return sorted(p.name for p in library.path().parent.iterdir())


def test_without_a_compiler_one_line_says_so_and_native_is_refused(fresh, monkeypatch, caplog):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(fresh))
    with caplog.at_level(logging.WARNING):
        assert not native.available()
        assert not native.available()
        native.build_in_background()
    assert [r.name for r in caplog.records] == ["attn_jax.ops.native.library"]
    assert "no C++ compiler" in caplog.text
    with pytest.raises(
        RuntimeError,
        match=r"C\+\+17 compiler, and g\+\+ or clang\+\+ or c\+\+ is not there: set CXX",
    ):
        native.build()
    with pytest.raises(
        RuntimeError,
        match=r"C\+\+17 compiler, and g\+\+ or clang\+\+ or c\+\+ is not there: set CXX",
    ):
        native.sample(jnp.ones((2, 3, 11)), jnp.zeros((1, 2)))


def test_a_compiler_that_is_named_but_not_there(fresh, monkeypatch, caplog):
    monkeypatch.setenv("CXX", str(fresh / "nowhere"))
    assert not native.available()
    assert f"no C++ compiler (CXX={fresh / 'nowhere'})" in caplog.text


def test_two_that_build_at_once_leave_one_whole_library(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'printf one > "$out"; sleep 0.3; printf two >> "$out"')
    said = []
    both = [threading.Thread(target=lambda: said.append(library._compile())) for _ in range(2)]
    library._digest()
    for thread in both:
        thread.start()
    while any(thread.is_alive() for thread in both):
        assert not library.path().exists() or library.path().read_text() == "onetwo"
        time.sleep(0.01)
    assert said == ["", ""]
    assert names() == [library.path().name]


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'printf half > "$out"; echo "no such flag" >&2; exit 1')
    with pytest.raises(RuntimeError, match=r"could not compile sample.cc: .*no such flag"):
        native.build()
    assert names() == []
    assert not native.available()


def test_a_library_that_cannot_be_loaded_is_passed_over(fresh, monkeypatch, caplog):
    use_compiler(fresh, monkeypatch, 'printf nonsense > "$out"')
    assert library._compile() == ""
    assert not native.available()
    assert "cannot be loaded" in caplog.text
    assert names() == []  # so that another is made


def test_a_damaged_library_is_made_again(fresh, monkeypatch):
    def load():
        if library.path().read_text() != "whole":
            raise OSError("file too short")
        return {"Sample": "sample"}

    monkeypatch.setattr(library, "_load", load)
    use_compiler(fresh, monkeypatch, 'printf whole > "$out"')
    library.path().parent.mkdir()
    library.path().write_text("half")
    native.build()
    assert library.path().read_text() == "whole"


def test_a_compiler_may_be_a_command_of_several_words(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'printf whole > "$out"')
    monkeypatch.setenv("CXX", f"env {os.environ['CXX']}")
    assert library._compiler()[1:] == (str(fresh / "compiler"),)
    assert library._compile() == ""
    assert names() == [library.path().name]


def test_a_build_in_the_background_that_fails_says_so(fresh, monkeypatch, caplog):
    use_compiler(fresh, monkeypatch, 'echo "no such flag" >&2; exit 1')
    native.build_in_background()
    ended = time.monotonic() + 20
    while not caplog.text and time.monotonic() < ended:
        time.sleep(0.02)
    assert "no such flag" in caplog.text


def test_a_build_in_the_background_is_there_for_the_next(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, 'sleep 0.2; echo >> "$0.calls"; printf done > "$out"')
    started = time.monotonic()
    native.build_in_background()
    native.build_in_background()
    assert time.monotonic() - started < 0.2 or not library.path().exists()
    while not library.path().exists() and time.monotonic() < started + 20:
        time.sleep(0.02)
    assert names() == [library.path().name]
    assert (fresh / "compiler.calls").read_text().count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_error(fresh, monkeypatch):
    (fresh / "file").write_text("")
    use_compiler(fresh, monkeypatch, "exit 0")
    monkeypatch.setenv("ATTN_JAX_CACHE", str(fresh / "file" / "cache"))
    with pytest.raises(RuntimeError, match="could not compile"):
        native.build()


def test_another_compiler_is_another_library(fresh, monkeypatch):
    use_compiler(fresh, monkeypatch, "exit 0")
    first = library.path()
    for cached in CACHES:
        cached.cache_clear()
    monkeypatch.setenv("CXX", shutil.which("sh") or os.devnull)
    assert library.path() != first
