"""The C++ source of the native library, and the name of what is compiled from it."""

import functools
import hashlib
import platform
from importlib.resources import files
from pathlib import Path

import jax

# In the order in which they include each other.
FILES = ("threads.h", "places.h", "shapes.h", "forward.h", "backward.h", "calls.h", "sample.cc")
# No fused multiply-add by the compiler's choice, for one result on every CPU. Without traps and
# errno, loops of floor, abs and selections become vector code; no result changes.
_FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno"),
    *("-fno-trapping-math", "-fopenmp-simd", "-fPIC", "-shared"),
)
# By default GCC avoids an Intel CPU's gathers, which are twice as fast as single loads.
_INTEL_FLAGS = ("-mtune=haswell",)


@functools.cache
def text() -> bytes:
    """All files as one, so that a compiler can read it where there are no files, as in a zip.

    Raises:
      OSError: if one is not there.
    """
    return b"".join(f'#line 1 "{name}"\n'.encode() + _alone(name) for name in FILES)


def _alone(name: str) -> bytes:
    """A file without the lines that include the others; they count as lines all the same."""
    lines = files(__package__).joinpath(name).read_bytes().splitlines()
    included = tuple(f'#include "{other}"'.encode() for other in FILES)
    return b"".join((b"" if line in included else line) + b"\n" for line in lines)


def arguments() -> tuple[str, ...]:
    """The compiler's arguments, but for where the source and the library are."""
    tuned = _INTEL_FLAGS if "GenuineIntel" in _cpu() else ()
    return *_FLAGS, *tuned, "-isystem", jax.ffi.include_dir()


@functools.cache
def digest() -> str:
    """A digest of what the library's code depends on, but for the compiler.

    A library is used where the compiler that made it is gone, or was replaced by another.
    """
    flags = " ".join((*_FLAGS, *_INTEL_FLAGS))
    parts = text(), flags.encode(), jax.lib.__version__.encode(), _cpu().encode()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


@functools.cache
def _cpu() -> str:
    """A description of the CPU, on which -march=native depends."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(
        sorted({x for x in lines if x.startswith(("flags", "Features", "model", "vendor"))})
    )
