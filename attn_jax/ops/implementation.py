"""The choice of the implementation that samples: XLA anywhere, or native code on a CPU."""

import os

import jax
from jax import Array

from attn_jax.ops import native

_NAMES = ("xla", "native", None)
_DEFAULT = "ATTN_JAX_IMPLEMENTATION"  # environment variable, read where the argument is None


def best_implementation() -> str:
    """Find the faster implementation that this machine has, building native code if need be.

    Returns:
      "native" on a CPU where it can be built and loaded, unless the environment variable
      ATTN_JAX_IMPLEMENTATION says otherwise; "xla" elsewhere.
    """
    if os.environ.get(_DEFAULT) == "xla" or jax.default_backend() != "cpu":
        return "xla"
    try:
        native.build()
    except RuntimeError:  # no compiler, or no folder to keep the library in
        return "xla"
    return "native"


def use_native(implementation: str | None, mode: str, padding: str, image: Array) -> bool:
    """Whether native code is to sample an image.

    With None it does if its library was built before this process first asked; if not, the library
    is built in the background for a later run.

    Raises:
      ValueError: for an unknown name, or for "native" with arguments that it does not support.
      RuntimeError: for "native" where it cannot be built or loaded.
    """
    chosen = implementation or os.environ.get(_DEFAULT) or None
    if chosen not in _NAMES:
        name = "implementation" if implementation else f"${_DEFAULT}"
        raise ValueError(f"{name} must be one of {_NAMES}; got {chosen!r}")
    fits = native.supports(mode, padding, image.ndim, image.dtype)
    if implementation == "native" and not fits:
        raise ValueError(
            f"implementation='native' samples images [H, W, C] in float32 or float64 by "
            f"mode='bilinear'; got {image.dtype} {list(image.shape)} and mode={mode!r}"
        )
    if chosen == "xla" or not fits or jax.default_backend() != "cpu":
        return False
    if chosen == "native":
        native.build()
        return True
    return native.preferred()
