"""A cache never changes what is read, and never makes reading fail."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attn_jax.data.sources.cache import cached

ARRAYS = {"images": np.arange(500).reshape(5, 100), "labels": np.array([1, 2])}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "attn_jax"


def counted() -> tuple[Callable[[], dict[str, np.ndarray]], list[int]]:
    calls = []

    def build() -> dict[str, np.ndarray]:
        calls.append(1)
        return dict(ARRAYS)

    return build, calls


def check(got: dict[str, np.ndarray]) -> None:
    assert got.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(got[name], array)


def test_arrays_are_built_once(home: Path):
    build, calls = counted()
    for _ in range(3):
        check(cached("name", "1", build))
    assert len(calls) == 1
    assert [file.name for file in home.iterdir()] == ["name.npz"]


def test_another_stamp_replaces_the_file(home: Path):
    build, calls = counted()
    for stamp in ("1", "2", "2", "1"):
        check(cached("name", stamp, build))
    assert len(calls) == 3
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize("damage", ["empty", "words", "half", "bits", "directory"])
def test_a_damaged_file_is_built_again(damage: str, home: Path):
    build, calls = counted()
    check(cached("name", "1", build))
    path = home / "name.npz"
    whole = path.read_bytes()
    if damage == "directory":
        path.unlink()
        path.mkdir()
    else:
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        path.write_bytes(
            {"empty": b"", "words": b"words", "half": whole[:200], "bits": bytes(flipped)}[damage]
        )
    check(cached("name", "1", build))
    assert len(calls) == 2
    assert [file.name for file in home.iterdir()] == ["name.npz"]


def test_a_directory_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("a file, where a directory is wanted")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    build, calls = counted()
    for _ in range(2):
        check(cached("name", "1", build))
    assert len(calls) == 2


def test_arrays_that_are_fast_to_build_or_large_are_not_stored(home: Path):
    build, _ = counted()
    check(cached("fast", "1", build, seconds=60.0))
    check(cached("large", "1", build, limit=100))
    assert not home.exists()


def test_a_failure_is_not_stored(home: Path):
    def build() -> dict[str, np.ndarray]:
        raise ValueError("no such data")

    with pytest.raises(ValueError, match="no such data"):
        cached("name", "1", build)
    assert not home.exists()
