"""The native library: compiled on demand into a cache folder, loaded, registered with XLA.

The folder is $ATTN_JAX_CACHE, or attn_jax in the user's cache folder. A library's name is a digest
of all it depends on: a change of source, compiler, jaxlib or CPU makes another one.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import threading
import uuid
from importlib.metadata import version
from pathlib import Path

import jax

_SOURCE = Path(__file__).with_name("sample.cc")
_HANDLERS = ("Sample", "Gradients")
# Without fused multiply-add by the compiler's choice: one result on every CPU. Without traps and
# errno loops of floor, abs and selections become vector code; no result changes.
_FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno"),
    *("-fno-trapping-math", "-fopenmp-simd", "-fPIC", "-shared"),
)
# Unless told so, GCC takes an Intel CPU's gathers for slow; they are twice as fast as loads.
_INTEL_FLAGS = ("-mtune=haswell",)

_NAMES = ("g++", "clang++", "c++")

_log = logging.getLogger(__name__)
_lock = threading.RLock()


def available() -> bool:
    """Whether the native library can be used now, without compiling; loads it if it can."""
    if _compiler() is None:
        _say_there_is_none()
        return False
    if not path().exists():
        return False
    try:
        return bool(_load())
    except (OSError, AttributeError) as error:
        _log.warning("attn_jax: the native sampler cannot be loaded: %s", error)
        path().unlink(missing_ok=True)  # damaged: another is made
        return False


def build() -> None:
    """Compile the library if there is none, wait for it, and load it.

    Raises:
      RuntimeError: if there is no C++ compiler, or it fails.
    """
    if _compiler() is None:
        raise RuntimeError(_none())
    with _lock:
        if available():
            return
        if complaint := _compile():
            raise RuntimeError(_failed(complaint))
        _load()


def build_in_background() -> None:
    """Have the library compiled for a later run, by a process that may outlive this one."""
    if _compiler() is None:
        _say_there_is_none()
    elif not path().exists():
        _start_once()


def target(handler: str) -> str:
    """The name under which XLA knows a handler, building the library if need be."""
    build()
    return _load()[handler]


@functools.cache
def _say_there_is_none() -> None:
    _log.warning("attn_jax: no C++ compiler (%s): sampling through XLA", _sought())


def _none() -> str:
    return (
        f"implementation='native' needs a C++17 compiler, and {_sought()} is not there: set CXX, "
        "or install g++ or clang++ (None and 'xla' need none)"
    )


def _failed(complaint: str) -> str:
    return f"{shlex.join(_compiler() or ())} could not compile {_SOURCE.name}: {complaint}"


def _sought() -> str:
    chosen = os.environ.get("CXX")
    return f"CXX={chosen}" if chosen else " or ".join(_NAMES)


@functools.cache
def _compiler() -> tuple[str, ...] | None:
    """The command, with what CXX gives it: "ccache g++"."""
    commands = [shlex.split(os.environ["CXX"])] if os.environ.get("CXX") else [[n] for n in _NAMES]
    for name, *given in filter(None, commands):
        if found := shutil.which(name):
            return found, *given
    return None


@functools.cache
def _flags() -> tuple[str, ...]:
    return (*_FLAGS, *_INTEL_FLAGS) if "GenuineIntel" in _cpu() else _FLAGS


def _folder() -> Path:
    if chosen := os.environ.get("ATTN_JAX_CACHE"):
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "attn_jax"


@functools.cache
def _digest() -> str:
    compiler = _compiler()
    assert compiler is not None
    named = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    parts = (
        _SOURCE.read_bytes(),
        shlex.join(compiler).encode(),
        named,
        " ".join(_flags()).encode(),
    )
    parts += (version("jaxlib").encode(), _cpu().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _cpu() -> str:
    """What -march=native looks at."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(
        sorted({x for x in lines if x.startswith(("flags", "Features", "model", "vendor"))})
    )


def path() -> Path:
    """Where this source's library for this machine lies, or would lie."""
    return _folder() / f"sample-{_digest()}.so"


# Renamed into place, whole or not at all: several processes may do the same at once.
_SCRIPT = 'made=$0; final=$1; shift; "$@" && mv "$made" "$final" || { rm -f "$made"; exit 1; }'


def _compile(nice: int = 0) -> str:
    """What the compiler said, "" if it is content. Goes on should this process end."""
    compiler, final = _compiler(), path()
    assert compiler is not None
    made = f"{final}.{uuid.uuid4().hex}"
    command = [*compiler, *_flags(), "-isystem", jax.ffi.include_dir(), str(_SOURCE), "-o", made]
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["nice", "-n", str(nice), "sh", "-c", _SCRIPT, made, final, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            check=False,
        )
    except OSError as error:  # a cache folder that cannot be written
        return str(error)
    return done.stderr.strip()[-2000:] or "it failed" if done.returncode else ""


@functools.cache
def _start_once() -> None:
    def work() -> None:
        if complaint := _compile(nice=19):
            _log.warning("attn_jax: %s: sampling through XLA", _failed(complaint))

    threading.Thread(target=work, daemon=True).start()


@functools.cache
def _registered(library: Path) -> dict[str, str]:
    handle = ctypes.CDLL(str(library))
    names = {handler: f"attn_jax_{handler.lower()}_{_digest()}" for handler in _HANDLERS}
    for handler, name in names.items():
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(handle, handler)), "cpu")
    return names


def _load() -> dict[str, str]:
    with _lock:
        return _registered(path())
