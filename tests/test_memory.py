"""Arrays that do not fit into memory are refused with their estimate, before allocation."""

import re
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import devices, memory
from attn_jax.data import compose_split, make_generator
from attn_jax.errors import UserError

KIB = 1024


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def machine(folder: Path, group: str = "") -> Path:
    """A /proc of a machine with 1,000 KiB free and 500 KiB of swap."""
    lines = "MemTotal: 9000 kB\nMemAvailable:  1000 kB\nSwapFree: 500 kB\n"
    return write(folder / "proc", meminfo=lines, self__cgroup=group)


def test_a_machine_tells_what_is_available_and_swap(tmp_path: Path):
    assert memory.host_free(machine(tmp_path), tmp_path / "none") == 1500 * KIB


def test_the_tightest_group_counts_and_its_cached_files_are_free(tmp_path: Path):
    proc, groups = machine(tmp_path, "0::/a/b\n"), tmp_path / "groups"
    limit = {"memory_dot_max": "900", "memory_dot_current": "600", "memory_dot_stat": "file 150\n"}
    write(groups / "a", **limit)
    write(groups / "a/b", **(limit | {"memory_dot_max": "max"}))
    assert memory.host_free(proc, groups) == 450
    write(groups / "a/b", **(limit | {"memory_dot_max": "800"}))
    assert memory.host_free(proc, groups) == 350


def test_groups_of_the_first_version_are_known(tmp_path: Path):
    proc, groups = machine(tmp_path, "5:cpu,cpuacct:/x\n4:memory:/c\n"), tmp_path / "groups"
    (groups / "memory/c").mkdir(parents=True)
    for name, text in (
        ("memory.limit_in_bytes", "700"),
        ("memory.usage_in_bytes", "300"),
        ("memory.stat", "cache 1\ntotal_cache 40\n"),
    ):
        (groups / "memory/c" / name).write_text(text)
    assert memory.host_free(proc, groups) == 440


@pytest.mark.parametrize("damaged", ["", "MemAvailable:\n", "MemAvailable: many kB\n"])
def test_where_the_kernel_says_nothing_it_is_all_memory_or_unknown(
    tmp_path: Path, damaged: str, monkeypatch: pytest.MonkeyPatch
):
    proc = write(tmp_path, meminfo=damaged)
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 12)
    assert memory.host_free(proc, tmp_path / "none") == 144
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.host_free(proc, tmp_path / "none") is None
    monkeypatch.setattr(memory, "host_free", lambda: None)
    memory.check_bytes("anything", 10**30)


def test_this_machine_has_memory():
    free = memory.device_free()
    assert free is not None and free > 2**20


@pytest.mark.parametrize(
    ("stats", "free"),
    [({"bytes_limit": 900, "bytes_in_use": 200}, 700), ({"bytes_limit": 900}, 900), (None, None)],
)
def test_a_gpu_tells_its_own_memory(stats: dict, free: int, monkeypatch: pytest.MonkeyPatch):
    gpu = SimpleNamespace(platform="gpu", memory_stats=lambda: stats)
    monkeypatch.setattr(memory.jax, "local_devices", lambda: [gpu])
    assert memory.device_free() == free


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (10**30, "867361737988.4 EiB")],
)
def test_bytes_are_shown_in_words(count: int, words: str):
    assert memory.shown(count) == words


def test_bytes_of_shapes_do_not_overflow():
    side = jax.ShapeDtypeStruct((2**31 - 1,) * 3, jnp.float32)
    assert memory.bytes_of({"a": side, "b": np.zeros(3, np.uint8)}) == 4 * (2**31 - 1) ** 3 + 3


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a MiB."""
    monkeypatch.setattr(memory, "host_free", lambda: 2**20)


@pytest.mark.usefixtures("small")
def test_a_program_is_refused_by_its_own_plan_and_before_it_runs():
    ran = []

    def spread(x: jax.Array) -> jax.Array:
        jax.debug.callback(lambda: ran.append(x.shape))
        return jnp.sort(jnp.outer(x, x), axis=None)[::7].sum()

    call = memory.within("an outer product", jax.jit(spread))
    call(jnp.ones(64)).block_until_ready()
    jax.effects_barrier()
    assert ran == [(64,)]
    with pytest.raises(UserError, match=r"an outer product would take \d.* MiB of .*1.0 MiB are"):
        call(jnp.ones(1024))
    jax.effects_barrier()
    assert ran == [(64,)]


def test_a_program_is_compiled_once():
    traced = []

    def twice(x: jax.Array) -> jax.Array:
        traced.append(x.shape)
        return 2 * x

    call = memory.within("twice", jax.jit(twice))
    for size in (3, 3, 4, 3):
        assert call(jnp.ones(size)).sum() == 2 * size
    assert traced == [(3,), (4,)]


@pytest.mark.usefixtures("small")
def test_state_resident_data_canvases_and_ids_are_refused_by_their_shapes():
    big = jax.ShapeDtypeStruct((2**40,), jnp.float32)
    images = np.zeros((10, 4, 4, 1), np.uint8)
    refusals = {
        "the parameters and the optimiser's state would take 4.0 MiB": lambda: devices.check_state(
            lambda: jnp.zeros(2**20), False
        ),
        "the data that stays on each device would take 4.0 TiB": lambda: devices.replicate(big),
        "10 composed images of 400x400x1 (data.size) would take 1.5 MiB": lambda: compose_split(
            make_generator("centered", size=400), jax.random.key(0), images
        ),
        "the examples of one call, train.batch=1000000 by train.steps_per_call=2, would": lambda: (
            devices.check_batch(10**6, 2)
        ),
    }
    for message, refused in refusals.items():
        with pytest.raises(UserError, match=rf"\A{re.escape(message)}"):
            refused()
