"""The native library: compiled on demand into a cache folder, loaded, registered with XLA.

The folder is $ATTN_JAX_CACHE, or attn_jax in the user's cache folder. A library's name is a digest
of all that it depends on, so that another source, compiler, jaxlib or CPU makes another library.
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
# No fused multiply-add by the compiler's choice, for one result on every CPU. Without traps and
# errno, loops of floor, abs and selections become vector code; no result changes.
_FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno"),
    *("-fno-trapping-math", "-fopenmp-simd", "-fPIC", "-shared"),
)
# By default GCC avoids an Intel CPU's gathers, which are twice as fast as single loads.
_INTEL_FLAGS = ("-mtune=haswell",)

_NAMES = ("g++", "clang++", "c++")

_log = logging.getLogger(__name__)
_lock = threading.RLock()


def available() -> bool:
    """Whether the native library can be used now, without compiling; loads it if it can."""
    if _compiler() is None:
        _warn_without_compiler()
        return False
    if not path().exists():
        return False
    try:
        return bool(_load())
    except (OSError, AttributeError) as error:
        _log.warning("attn_jax: the native sampler cannot be loaded: %s", error)
        path().unlink(missing_ok=True)  # damaged: the next build makes another
        return False


def build() -> None:
    """Compile the library unless it is there, wait for that, and load it.

    Raises:
      RuntimeError: if there is no C++ compiler, or if it fails.
    """
    if _compiler() is None:
        raise RuntimeError(_no_compiler_message())
    with _lock:
        if available():
            return
        if errors := _compile():
            raise RuntimeError(_failure_message(errors))
        _load()


def build_in_background() -> None:
    """Start compiling the library for a later run, in a process that may outlive this one."""
    if _compiler() is None:
        _warn_without_compiler()
    elif not path().exists():
        _start_once()


def target(handler: str) -> str:
    """Build the library if need be, and return the name under which XLA knows a handler."""
    build()
    return _load()[handler]


@functools.cache
def _warn_without_compiler() -> None:
    _log.warning("attn_jax: no C++ compiler (%s): sampling through XLA", _compiler_names())


def _no_compiler_message() -> str:
    return (
        f"implementation='native' needs a C++17 compiler, and {_compiler_names()} is not there: "
        "set CXX, or install g++ or clang++ (None and 'xla' need none)"
    )


def _failure_message(errors: str) -> str:
    return f"{shlex.join(_compiler() or ())} could not compile {_SOURCE.name}: {errors}"


def _compiler_names() -> str:
    chosen = os.environ.get("CXX")
    return f"CXX={chosen}" if chosen else " or ".join(_NAMES)


@functools.cache
def _compiler() -> tuple[str, ...] | None:
    """The compiler's command, with arguments that CXX gives, as in "ccache g++"."""
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
    """A description of the CPU, on which -march=native depends."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(
        sorted({x for x in lines if x.startswith(("flags", "Features", "model", "vendor"))})
    )


def path() -> Path:
    """The path of the library of this source for this machine, built or not."""
    return _folder() / f"sample-{_digest()}.so"


# The file is renamed into place when it is whole: several processes may do this at once.
_SCRIPT = 'made=$0; final=$1; shift; "$@" && mv "$made" "$final" || { rm -f "$made"; exit 1; }'


def _compile(nice: int = 0) -> str:
    """Compile, and return the compiler's errors, "" for none; goes on if this process ends."""
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
        if errors := _compile(nice=19):
            _log.warning("attn_jax: %s: sampling through XLA", _failure_message(errors))

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
