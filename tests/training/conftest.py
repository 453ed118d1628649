"""A tiny data set, its config, and programs that are compiled once for all tests here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from attn_jax.training.loop import train
from configs import taxonomy
from tests.tiny import WHOLE, compiled_once, no_pictures, small_config


@pytest.fixture(scope="module", autouse=True)
def _compiled_once(jax_cache: Path) -> Iterator[None]:
    with compiled_once(jax_cache):
        yield


@pytest.fixture(scope="session")
def config_of(data: Path) -> Callable[..., ConfigDict]:
    """config_of(train__batch=4): the small config with changes."""
    return lambda **changed: small_config(data, **changed)


@pytest.fixture
def undrawn() -> Iterator[None]:
    """No pictures: they take longer than the run; test_train_artefacts has them."""
    with no_pictures():
        yield


@pytest.fixture(scope="session")
def finished(
    config_of: Callable[..., ConfigDict], jax_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small config's run, without pictures. Copy it before changing it."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    with compiled_once(jax_cache), no_pictures():
        train(config_of(), workdir)
    return workdir


@pytest.fixture(scope="session")
def whole(
    config_of: Callable[..., ConfigDict], jax_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run with everything: pictures, TensorBoard, all kinds of state, a sigma that falls."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    with compiled_once(jax_cache):
        assert train(config_of(**WHOLE), workdir) == workdir / "report.html"
    return workdir


@pytest.fixture(scope="session")
def square_of(data: Path) -> Callable[..., ConfigDict]:
    """square_of("item_soft", train__batch=4): the taxonomy's config, shrunk as the main one is."""

    def make(mechanism: str, **changed) -> ConfigDict:
        config, small = taxonomy.get_config(mechanism), small_config(data)
        with config.unlocked():
            for part in ("data", "train", "optimizer", "evaluate", "log"):
                config[part] = small[part]
            config.model.update(encoder=(4, 6), score_features=4, glimpse_size=2, glimpses=2)
            config.model.update(features=(8,), glimpse_features=8)
            flat = {name.replace("__", "."): value for name, value in changed.items()}
            config.update_from_flattened_dict(flat)
        return config

    return make
