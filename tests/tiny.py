"""A run of seconds: a few dozen images of three classes, and the main config shrunk to them."""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from ml_collections import ConfigDict

from attn_jax import fields
from attn_jax.systems import prepare, system_of
from attn_jax.training import loop
from attn_jax.training.experiment import Experiment
from attn_jax.training.state import TrainState
from attn_jax.training.update import fresh_state, make_update, many
from attn_jax.training.writers import Progress
from configs import stn_colocalise, stn_mnist, taxonomy
from configs.ram_mnist import get_config

ROOT = Path(__file__).parents[1]

# All kinds of state at once: of the optimiser, of the baseline, of the average of weights.
WHOLE = {
    "log__tensorboard": True,
    "log__pictures": True,
    "mechanism__spread_end": 0.05,
    "train__baseline": "moving_average",
    "optimizer__average": 0.5,
}


def write_npz(path: Path, train: int = 40, test: int = 12, **changed: np.ndarray | None) -> Path:
    """Noisy 10x10 images whose bright rows tell the class; `changed` replaces or drops arrays."""
    random, arrays = np.random.default_rng(0), {}
    for part, count in (("train", train), ("test", test)):
        labels = (np.arange(count) % 3).astype(np.int32)
        images = random.integers(0, 100, (count, 10, 10), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[3 * label : 3 * label + 3] = 255
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    kept = {name: one for name, one in (arrays | changed).items() if one is not None}
    np.savez(path, **kept)
    return path


def small_config(data: Path, **changed: Any) -> ConfigDict:
    """The main config at 566 parameters and 12 steps; `changed` names fields as a__b."""
    config = get_config()
    with config.unlocked():
        config.seed = 0
        config.data.update(source="npz", path=str(data), task="centered", size=10, shift=1, seed=1)
        config.mechanism.update(
            policy="learned", spread=0.1, spread_end=0.1, size=4, scales=1, steps=3, unit=0.0
        )
        config.model.update(core_widths=(8,), location_hidden=(8,))
        config.model.update(glimpse_hidden=8, glimpse_features=8)
        config.compute.unroll = 1
        config.train.update(steps=12, steps_per_call=4, batch=8, checkpoint_seconds=1000.0)
        config.train.update(rollouts=1, baseline="learned_value", reward="right")
        config.optimizer.update(name="adam", learning_rate=1e-3, schedule="cosine", warmup=0)
        config.optimizer.update(weight_decay=0.0, clip=5.0, average=0.0)
        config.evaluate.update(every=4, rollouts=3, batch=5)
        config.log.update(tensorboard=False, progress=False, pictures=False)
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changed.items()})
    return config


def square_config(data: Path, mechanism: str, **changed: Any) -> ConfigDict:
    """The taxonomy's config, shrunk as the main one is."""
    config, small = taxonomy.get_config(mechanism), small_config(data)
    with config.unlocked():
        for part in ("data", "train", "optimizer", "evaluate", "log"):
            config[part] = small[part]
        config.mechanism.update(size=2, steps=2)
        config.model.update(encoder=(4, 6), score_features=4, core_widths=(8,), features=8)
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changed.items()})
    return config


def transformer_config(data: Path, words: str = "st_cnn,affine", **changed: Any) -> ConfigDict:
    """The config of spatial transformers, shrunk as the main one is."""
    config, small = stn_mnist.get_config(words), small_config(data)
    with config.unlocked():
        config.optimizer, config.data = small.optimizer, small.data
        config.train.update({name: small.train[name] for name in config.train})
        config.mechanism.update(size=8)
        config.model.update(localisation_filters=(2,), localisation_kernels=(3,))
        config.model.update(localisation_hidden=(4,), filters=(3,), kernels=(3,))
        config.evaluate.update(every=4, batch=5)
        config.log.update(small.log)
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changed.items()})
    return config


def colocalisation_config(data: Path, **changed: Any) -> ConfigDict:
    """The config of co-localisation, shrunk as the main one is."""
    config, small = stn_colocalise.get_config(), small_config(data)
    with config.unlocked():
        config.optimizer = small.optimizer
        config.data.update(source="npz", path=str(data), size=20, pieces=2, piece=3)
        config.data.update(common=1, count=7)
        config.train.update({name: small.train[name] for name in config.train})
        config.mechanism.update(size=10, zoom=0.5, begin=2, shift=1)
        config.model.update(localisation_filters=(2,), localisation_kernels=(3,))
        config.model.update(localisation_hidden=(4,), filters=(3,), kernels=(3,))
        config.evaluate.update(every=4, batch=5)
        config.log.update(small.log)
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changed.items()})
    return config


def prepared(config: ConfigDict) -> tuple[Any, Experiment]:
    """The sections of a config, and its experiment; what does not fit is a UserError."""
    return prepare(config.to_dict())


def first_state(config: ConfigDict) -> TrainState:
    """The state before the first update."""
    settings, experiment = prepared(config)
    return fresh_state(settings, experiment.learner)


def updated(config: ConfigDict, count: int) -> tuple[TrainState, TrainState, dict[str, Any]]:
    """The state before and after `count` updates in one call, and their figures."""
    settings, experiment = prepared(config)
    state = fresh_state(settings, experiment.learner)
    update = jax.jit(many(make_update(settings, experiment.learner)))
    resident = jax.tree.map(jax.numpy.asarray, experiment.resident)
    return state, *update(state, resident, experiment.feed(0, count))


def train(config: ConfigDict, workdir: str | Path) -> Path:
    """Train a config, as its command does."""
    plain = config.to_dict()
    return loop.train(system_of(plain), plain, workdir)


class Killed(BaseException):
    """No Exception, so that nothing in the library can catch it."""


def cut(config: ConfigDict, workdir: Path, call: int, act: Callable[[], Any]) -> None:
    """Train; at the end of a call of the update, before its checkpoint, act."""
    calls = iter(range(1, 100))

    def write(*_: Any) -> None:
        if next(calls) == call:
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "write", write)
        train(config, workdir)


def killed(config: ConfigDict, workdir: Path, call: int) -> None:
    """Train, and end at a call of the update as if the process had been killed."""

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        cut(config, workdir, call, kill)


def config_of_file(name: str, arg: str | None) -> ConfigDict:
    """The config that --config=configs/name.py:arg names."""
    return importlib.import_module(f"configs.{name}").get_config(arg)


def as_flags(config: ConfigDict) -> list[str]:
    """The command line that makes `config` of the main config."""
    base = fields.flatten(get_config().to_dict())
    return [f"--config={ROOT / 'configs' / 'ram_mnist.py'}"] + [
        f"--config.{name}={value}"
        for name, value in fields.flatten(config.to_dict()).items()
        if value != base[name]
    ]


def result(workdir: Path) -> dict[str, Any]:
    return json.loads((workdir / "result.json").read_text())


def rows(workdir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def kept(workdir: Path) -> list[int]:
    """Steps of the checkpoints on disk."""
    return sorted(int(one.name) for one in (workdir / "checkpoints").iterdir())


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, by relative path."""
    return {
        str(one.relative_to(folder)): one.read_bytes() if one.is_file() else b""
        for one in sorted(folder.rglob("*"))
    }


def same_state(one: Any, other: Any) -> None:
    """Bit for bit, leaf by leaf."""
    jax.tree.map(np.testing.assert_array_equal, one, other)


_FAST = {
    "jax_disable_most_optimizations": True,
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@contextlib.contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Compile fast, and each program once for all tests: it is most of what a tiny run costs."""
    settings = {**_FAST, "jax_compilation_cache_dir": str(folder)}
    before = {name: jax.config.values[name] for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """One for all workers of this test run."""
    base = factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / name
    folder.mkdir(exist_ok=True)
    return folder


def environment(cache: Path, **more: str) -> dict[str, str]:
    """The same for another process."""
    settings = {name.upper(): str(value) for name, value in _FAST.items()}
    return {**os.environ, **settings, "JAX_COMPILATION_CACHE_DIR": str(cache), **more}


def command(cache: Path, module: str, *args: str, **options: Any) -> subprocess.CompletedProcess:
    """`python -m experiments.<module> args`, from the repository's root."""
    env = environment(cache, **options.pop("env", {}))
    line = [sys.executable, "-m", f"experiments.{module}", *args]
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, **options)
