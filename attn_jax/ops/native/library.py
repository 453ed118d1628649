"""The native library: compiled on demand into a cache folder, loaded, registered with XLA.

It is a speed-up: where it cannot be had, and nobody asked for it by name, XLA samples, and one
warning says why. Whether it is used then is decided once in a process, at the first use, so that
all that a run computes is computed by one implementation.
"""

import functools
import logging
import os
import shlex
import shutil
import subprocess
import threading
import uuid
from pathlib import Path

import jax

from attn_jax.ops.native import cache, source

_HANDLERS = ("Sample", "Gradients")
_NAMES = ("g++", "clang++", "c++")

_log = logging.getLogger(__name__)
_lock = threading.RLock()


def preferred() -> bool:
    """Whether this process samples natively where no implementation is named.

    The first call decides: it does if the library was compiled before; if not, it does not, and a
    process that may outlive this one compiles the library for a later run. Never fails.
    """
    with _lock:
        return _decide()


@functools.cache
def _decide() -> bool:
    try:
        return _load_or_start()
    except Exception as error:  # whatever it is, a call that works by XLA must not fail of it
        _log.warning("attn_jax: sampling through XLA, not natively: %s", error)
        return False


def _load_or_start() -> bool:
    try:
        _load()
        return True
    except FileNotFoundError:
        _start()
    except cache.Damaged as error:
        _start()
        _log.warning("attn_jax: sampling through XLA, not natively: %s", error)
    return False


def register_if_built() -> None:
    """Make a library that was compiled before known to XLA, for programs compiled elsewhere.

    Never fails, and says nothing: `preferred` does, should the library be wanted.
    """
    try:
        _load()
    except Exception as error:
        _log.debug("attn_jax: no native library: %s", error)


def build() -> None:
    """Compile the library unless it is there, wait for that, and load it.

    Raises:
      RuntimeError: if it is not there and cannot be compiled, or cannot be loaded.
    """
    try:
        _load()
    except (FileNotFoundError, cache.Damaged):
        _build()
    except (OSError, AttributeError) as error:
        raise RuntimeError(f"implementation='native' cannot be loaded: {error}") from error


def _build() -> None:
    if _compiler() is None:
        raise RuntimeError(f"implementation='native' needs {_no_compiler()}; None and 'xla' do not")
    try:
        library = path()
        with cache.locked(library, wait=True) as lock:
            if not _is_there():  # another process has compiled it meanwhile
                _compile(library, lock)
        _load()
    except (OSError, AttributeError) as error:
        raise RuntimeError(f"implementation='native' cannot be made: {error}") from error


def target(handler: str) -> str:
    """Build the library if need be, and return the name under which XLA knows a handler."""
    build()
    return _load()[handler]


def path() -> Path:
    """The path of the library of this source for this machine, built or not.

    Raises:
      OSError: if there is no cache folder, or the source is not there.
    """
    return cache.folder() / f"sample-{source.digest()}.so"


@functools.cache
def _load() -> dict[str, str]:
    """Load the library, register its handlers, and return the names that they have in XLA."""
    library = cache.load(path())
    names = {handler: f"attn_jax_{handler.lower()}_{source.digest()}" for handler in _HANDLERS}
    for handler, name in names.items():
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, handler)), "cpu")
    return names


def _is_there() -> bool:
    """Whether a library is there that need not be compiled again."""
    try:
        cache.load(path())
    except (FileNotFoundError, cache.Damaged):
        return False
    return True


def _start() -> None:
    """Compile in the background, unless another process does.

    Raises:
      OSError, RuntimeError: if that cannot be started.
    """
    if _compiler() is None:
        raise OSError(f"it needs {_no_compiler()}")
    threading.Thread(target=_compile_alone, args=(path(),), daemon=True).start()


def _compile_alone(library: Path) -> None:
    try:
        with cache.locked(library, wait=False) as lock:
            if not _is_there():
                _compile(library, lock, nice=19)
    except BlockingIOError:
        pass  # another process compiles it
    except OSError as error:
        _log.warning("attn_jax: sampling through XLA, not natively: %s", error)


def _compile(library: Path, lock: int, nice: int = 0) -> None:
    """Compile in a process that goes on, and goes on holding the lock, if this one ends.

    Raises:
      OSError: quoting the compiler, or if it cannot be started.
    """
    made = f"{library}.{uuid.uuid4().hex}"
    compiler = *(_compiler() or ()), *source.arguments(), *("-x", "c++", "-", "-o", made)
    done = subprocess.run(
        ["nice", "-n", str(nice), "sh", "-c", cache.SCRIPT, made, library, *compiler],
        input=source.text(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(lock,),
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-2000:] or "it failed"
        raise OSError(f"{shlex.join(_compiler() or ())} could not compile sample.cc: {said}")


def _no_compiler() -> str:
    chosen = os.environ.get("CXX")
    names = f"CXX={chosen}" if chosen else " or ".join(_NAMES)
    return f"a C++17 compiler, and {names} is not there: set CXX, or install g++ or clang++"


@functools.cache
def _compiler() -> tuple[str, ...] | None:
    """The compiler's command, with arguments that CXX gives, as in "ccache g++"."""
    for command in [os.environ["CXX"]] if os.environ.get("CXX") else _NAMES:
        try:
            name, *given = shlex.split(command)
        except ValueError:  # an open quote, or nothing
            continue
        if found := shutil.which(name):
            return found, *given
    return None
