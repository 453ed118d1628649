"""Strict settings of every test, and the tiny runs that several rooms' tests share."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before jax and attn_jax are imported: each worker imports them itself.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ATTN_JAX_IMPLEMENTATION", "xla")  # native code is asked for by name
os.environ.setdefault("XDG_CACHE_HOME", os.path.join(tempfile.gettempdir(), "attn_jax-tests"))

# A shell starts what runs in the background with SIGINT ignored, which commands would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import jax
import jaxtyping
import pytest

from tests.annotations import check_annotations

jax.config.update("jax_numpy_rank_promotion", "raise")
check_annotations()

# Rooms whose tests train: compiling is most of what a tiny run costs.
_TRAINING = {"training", "parts", "systems", "runs", "studies", "experiments"}


@pytest.fixture(scope="session")
def jax_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of tiny runs are kept, each compiled once for all tests."""
    from tests.tiny import shared_folder  # not before the import hook is installed

    return shared_folder(tmp_path_factory, "jax-cache")


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(request: pytest.FixtureRequest, jax_cache: Path) -> Iterator[None]:
    from tests.tiny import compiled_once

    if Path(request.path).parent.name in _TRAINING:
        with compiled_once(jax_cache):
            yield
    else:
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set."""
    from tests.tiny import write_npz

    return write_npz(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="session")
def config_of(data: Path) -> Callable[..., Any]:
    """config_of(train__batch=4): the small config with changes."""
    from tests.tiny import small_config

    return lambda **changed: small_config(data, **changed)


@pytest.fixture(scope="session")
def square_of(data: Path) -> Callable[..., Any]:
    """square_of("item_soft", train__batch=4): the taxonomy's config, shrunk as the main one is."""
    from tests.tiny import square_config

    return lambda mechanism, **changed: square_config(data, mechanism, **changed)


@pytest.fixture(scope="session")
def finished(
    config_of: Callable[..., Any], jax_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small config's run, without pictures. Copy it before changing it."""
    from tests.tiny import compiled_once, train

    workdir = tmp_path_factory.mktemp("finished") / "run"
    with compiled_once(jax_cache):
        train(config_of(), workdir)
    return workdir


@pytest.fixture(scope="session")
def whole(
    config_of: Callable[..., Any], jax_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run with everything: pictures, TensorBoard, all kinds of state, a spread that falls."""
    from tests.tiny import WHOLE, compiled_once, train

    workdir = tmp_path_factory.mktemp("whole") / "run"
    with compiled_once(jax_cache):
        assert train(config_of(**WHOLE), workdir) == workdir / "report.html"
    return workdir


@pytest.fixture
def bad_input():
    """Annotations off: a test of misuse must see the library's own message."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
