"""Measuring a policy: the same four figures every time, with their intervals."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.data import Images, from_uint8, frozen
from attn_jax.tasks import probabilities, wilson
from attn_jax.training.build import Data, Parts
from attn_jax.types import Choose, PyTree

_LABELS = {
    "mean": "one rollout at the policy's mean",
    "random": "control: random glimpses",
    "center": "control: the centre only",
    "uniform": "control: everywhere alike",
    "identity": "control: theta stays the identity",
}

SPLITS = {"train": 0, "validation": 1, "test": 2}  # what their composites are frozen by


class Policy(NamedTuple):
    """How glimpses are placed while measuring: rollouts are averaged as probabilities."""

    choose: Choose
    start: Choose
    rollouts: int


class Measured(NamedTuple):
    """Wrong answers after each glimpse [T], of `total` images."""

    wrong: np.ndarray
    total: int

    def percent(self, step: int = -1) -> tuple[float, float, float]:
        """Error in percent after a glimpse, with its 95 % Wilson interval: (error, low, high)."""
        count = int(self.wrong[step])
        low, high = wilson(count, self.total)
        return 100 * count / self.total, 100 * low, 100 * high


def policies(config: Any, parts: Parts) -> dict[str, Policy]:
    """The mean, M averaged rollouts, and the controls on the same weights."""
    start, many = parts.start.choose, config.evaluate.rollouts
    controls = {name: one.choose for name, one in parts.controls.items()}
    return {
        "mean": Policy(parts.final.greedy, start, 1),
        f"m{many}": Policy(parts.sampled.choose, start, many),
        **{name: Policy(choose, choose, 1) for name, choose in controls.items()},
    }


def make_wrong(config: Any, parts: Parts, policy: Policy) -> Callable[..., np.ndarray]:
    """(variables, images uint8 [N, H, W, C], labels [N], key) -> [N, T], whether it is wrong."""
    model = parts.model(policy.choose, policy.start)

    @jax.jit
    def wrong(variables: PyTree, images: Array, labels: Array, ids: Array, key: Any) -> Array:
        p = probabilities(model, variables, from_uint8(images), key, ids, policy.rollouts)
        return p.argmax(-1) != labels[:, None]

    def measure(variables: PyTree, images: np.ndarray, labels: np.ndarray, key: Any) -> np.ndarray:
        batches = _batches(images, labels, config.evaluate.batch)
        found = [np.asarray(wrong(variables, *batch, key)) for batch in batches]
        return np.concatenate(found)[: len(images)]

    return measure


def make_measure(config: Any, parts: Parts, policy: Policy) -> Callable[..., Measured]:
    """The same, counted."""
    wrong = make_wrong(config, parts, policy)

    def measure(variables: PyTree, images: np.ndarray, labels: np.ndarray, key: Any) -> Measured:
        return Measured(wrong(variables, images, labels, key).sum(0), len(images))

    return measure


def _batches(images: np.ndarray, labels: np.ndarray, size: int) -> Iterator[tuple]:
    """Equal batches with ids; the last is filled up from the first."""
    size = min(size, len(images))
    for start in range(0, len(images), size):
        rows = np.arange(start, start + size)
        filled = rows % len(images)
        yield images[filled], labels[filled], jnp.asarray(rows)


def freeze(config: Any, data: Data, split: Images, which: int) -> Images:
    """A split composed once, under the data's own seed; `which` tells the splits apart."""
    key = jax.random.fold_in(jax.random.key(config.data.seed), which)
    return Images(frozen(data.compose, key, split.images), split.labels)


def measure_key(config: Any, which: int) -> Any:
    """The key that random starts and sampled rollouts are measured with."""
    return jax.random.fold_in(jax.random.key(config.data.seed), 100 + which)


def make_validate(config: Any, data: Data, parts: Parts) -> Callable[[PyTree], dict[str, float]]:
    """variables -> the error at the policy's mean on the frozen validation set."""
    images, labels = freeze(config, data, data.source.validation, SPLITS["validation"])
    measure = make_measure(config, parts, policies(config, parts)["mean"])
    key = measure_key(config, SPLITS["validation"])

    def validate(variables: PyTree) -> dict[str, float]:
        return figures("validation", "mean", measure(variables, images, labels, key))

    return validate


def figures(prefix: str, name: str, measured: Measured) -> dict[str, float]:
    """{prefix/error_name, …_low, …_high}, in percent."""
    error, low, high = measured.percent()
    stem = f"{prefix}/error_{name}"
    return {stem: error, f"{stem}_low": low, f"{stem}_high": high}


def describe(name: str) -> str:
    """What a policy's name stands for; m10 is ten sampled rollouts."""
    return _LABELS.get(name, f"{name[1:]} sampled rollouts, averaged")
