"""Strict settings of every test: shapes and types checked, ranks never promoted silently."""

import os
import tempfile

# Before jax and attn_jax are imported: each worker imports them itself.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XDG_CACHE_HOME", os.path.join(tempfile.gettempdir(), "attn_jax-tests"))

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# An int is a float, as in PEP 484; beartype's default is stricter than any type checker.
jaxtyping.install_import_hook(
    "attn_jax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)


@pytest.fixture
def bad_input():
    """Annotations off: a test of misuse must see the library's own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
