"""Memory that arrays and programs take, against what is free: what does not fit is refused first.

Estimates are of shapes and of XLA's own plan of a compiled program; nothing is allocated for them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attn_jax.errors import UserError
from attn_jax.types import PyTree

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def check_bytes(what: str, needed: int, *, on_host: bool = False) -> None:
    """Refuse what does not fit into the memory that is free.

    Args:
      what: takes the memory, with the fields that set it.
      needed: bytes.
      on_host: whether in the memory of this machine rather than of the device.

    Raises:
      UserError: naming both sizes.
    """
    free = host_free() if on_host else device_free()
    if free is not None and needed > free:
        raise UserError(f"{what} would take {shown(needed)} of memory; {shown(free)} are free")


def check_arrays(what: str, tree: PyTree, *, split: int = 1) -> None:
    """Refuse arrays, or their shapes, that do not fit on a device; `split` of them share one."""
    check_bytes(what, bytes_of(tree) // split)


def bytes_of(tree: PyTree) -> int:
    """The bytes of all arrays of a tree, or of their shapes."""
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(tree))


def _bytes(leaf: Any) -> int:
    # Python's integers: a product of large sides overflows NumPy's.
    count = 1
    for side in np.shape(leaf):
        count *= int(side)
    return count * np.dtype(getattr(leaf, "dtype", np.float64)).itemsize


def within(what: str, call: Callable) -> Callable:
    """Compile a jitted function before each call of new shapes, and refuse what does not fit.

    JAX keeps what was compiled: the call does not compile again.

    Args:
      what: the function does, with the fields that set its size.
      call: of `jax.jit`.
    """
    seen = set()

    def checked(*args: Any) -> Any:
        shapes = tuple((np.shape(leaf), str(leaf.dtype)) for leaf in jax.tree.leaves(args))
        if shapes not in seen:
            plan = call.lower(*args).compile().memory_analysis()
            if plan is not None:
                made = plan.output_size_in_bytes - plan.alias_size_in_bytes
                check_bytes(what, plan.temp_size_in_bytes + max(made, 0))
            seen.add(shapes)
        return call(*args)

    return checked


def device_free() -> int | None:
    """Bytes that are free on the first device of this process; None if it does not say."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return host_free()
    stats = device.memory_stats() or {}
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0) if "bytes_limit" in stats else None


def host_free(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may still take: of the machine and of its control groups.

    Swap counts as free; so does what is only cached of files. Where Linux's files are not there, it
    is all memory of the machine, or None.

    Args:
      proc, groups: where the kernel tells.
    """
    free = [_machine_free(proc), *(_group_free(folder) for folder in _groups(proc, groups))]
    known = [one for one in free if one is not None]
    return min(known) if known else None


def _machine_free(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        table = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return table["MemAvailable"] + table.get("SwapFree", 0)
    except (OSError, ValueError, KeyError, IndexError):
        return _all_memory()


def _all_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _groups(proc: Path, groups: Path) -> list[Path]:
    """The folders of this process's control groups, of version 2 or 1, and of those above them."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = [groups, groups / "memory"]
    for _, kinds, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if kinds in ("", "memory"):
            home = groups / kinds / path.lstrip("/")
            found += [home, *(one for one in home.parents if groups in one.parents)]
    return list(dict.fromkeys(found))


def _group_free(folder: Path) -> int | None:
    """Bytes that a group may still take; None if it has no limit."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache"),
    ):
        try:
            most, now = (int((folder / name).read_text()) for name in (limit, used))
            rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return most - now + int(rows.get(cached, 0))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return None


def shown(count: int) -> str:
    """A number of bytes in words.

    >>> shown(3 * 2**30)
    '3.0 GiB'
    """
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:.{1 if power else 0}f} {_UNITS[power]}"
