"""Strict settings of every test: shapes and types checked, ranks never promoted silently."""

import os
import tempfile
from pathlib import Path

# Before jax and attn_jax are imported: each worker imports them itself.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ATTN_JAX_IMPLEMENTATION", "xla")  # native code is asked for by name
os.environ.setdefault("XDG_CACHE_HOME", os.path.join(tempfile.gettempdir(), "attn_jax-tests"))

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# An int is a float, as in PEP 484; beartype's default is stricter than any type checker.
jaxtyping.install_import_hook(
    "attn_jax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)


@pytest.fixture(scope="session")
def jax_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of tiny runs are kept, each compiled once for all tests."""
    from tests.tiny import shared_folder  # not before the import hook is installed

    return shared_folder(tmp_path_factory, "jax-cache")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set."""
    from tests.tiny import write_npz

    return write_npz(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture
def bad_input():
    """Annotations off: a test of misuse must see the library's own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
