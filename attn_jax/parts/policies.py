"""Policies measured on images: the mean, averaged rollouts and controls, with their intervals."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.data import Images, from_uint8
from attn_jax.fields import field, section
from attn_jax.parts.learner import Wiring
from attn_jax.records import as_text
from attn_jax.tasks import probabilities, wilson
from attn_jax.training.experiment import Figures
from attn_jax.training.settings import Evaluate
from attn_jax.types import Estimator, Key, PyTree

_LABELS = {
    "mean": "one rollout at the policy's mean",
    "random": "control: random glimpses",
    "center": "control: the centre only",
    "uniform": "control: everywhere alike",
    "identity": "control: theta stays the identity",
}


@section
class EvaluatePolicies(Evaluate):
    """How policies are measured."""

    rollouts: int = field("sampled rollouts that are averaged", least=1)
    spread: float = field("spread of sampled rollouts; 0: the spread training ends with", least=0)
    batch: int = field("examples at a time", least=1)


class Policy(NamedTuple):
    """How glimpses are placed while measuring: rollouts are averaged as probabilities."""

    estimator: Estimator
    start: Estimator | None
    rollouts: int


class WrongAnswers(NamedTuple):
    """Wrong answers after each glimpse [T], of `total` images."""

    wrong: np.ndarray
    total: int

    def error(self, step: int = -1) -> tuple[float, float, float]:
        """The fraction that is wrong after a glimpse, with its 95 % Wilson interval."""
        count = int(self.wrong[step])
        return count / self.total, *wilson(count, self.total)


Measure = Callable[[PyTree, np.ndarray, np.ndarray, Key], WrongAnswers]


def policies(wiring: Wiring, evaluate: EvaluatePolicies) -> dict[str, Policy]:
    """The mean, M averaged rollouts, and the controls on the same weights."""
    attention, many = wiring.attention, evaluate.rollouts
    sampled = attention.estimator(evaluate.spread) if evaluate.spread else attention.final
    controls = {name: Policy(one, one, 1) for name, one in attention.controls.items()}
    return {
        "mean": Policy(attention.final.at_mode(), wiring.start, 1),
        f"m{many}": Policy(sampled, wiring.start, many),
        **controls,
    }


def make_error_mask(
    wiring: Wiring, policy: Policy, batch: int
) -> Callable[[PyTree, np.ndarray, np.ndarray, Key], np.ndarray]:
    """(params, images uint8 [N, H, W, C], labels [N], key) -> [N, T], whether each is wrong."""
    model = wiring.model(policy.estimator, policy.start)

    @jax.jit
    def wrong(params: PyTree, images: Array, labels: Array, ids: Array, key: Key) -> Array:
        variables = {"params": params}
        p = probabilities(model, variables, from_uint8(images), key, ids, policy.rollouts)
        return p.argmax(-1) != labels[:, None]

    def measure(params: PyTree, images: np.ndarray, labels: np.ndarray, key: Key) -> np.ndarray:
        batches = _batches(images, labels, batch)
        found = [np.asarray(wrong(params, *one, key)) for one in batches]
        return np.concatenate(found)[: len(images)]

    return measure


def make_measure(wiring: Wiring, policy: Policy, batch: int) -> Measure:
    """Like `make_error_mask`, but counts the errors after each glimpse."""
    wrong = make_error_mask(wiring, policy, batch)

    def measure(params: PyTree, images: np.ndarray, labels: np.ndarray, key: Key) -> WrongAnswers:
        return WrongAnswers(wrong(params, images, labels, key).sum(0), len(images))

    return measure


def _batches(images: np.ndarray, labels: np.ndarray, size: int) -> Iterator[tuple]:
    """Equal batches with ids; the last is filled up from the first."""
    size = min(size, len(images))
    for start in range(0, len(images), size):
        rows = np.arange(start, start + size)
        filled = rows % len(images)
        yield images[filled], labels[filled], jnp.asarray(rows)


def measure_all(
    wiring: Wiring, evaluate: EvaluatePolicies, params: PyTree, split: Images, key: Key
) -> dict[str, WrongAnswers]:
    """Every policy on one split: the mean, the average of M, and the controls."""
    return {
        name: make_measure(wiring, policy, evaluate.batch)(params, *split, key)
        for name, policy in policies(wiring, evaluate).items()
    }


def figures(split: str, name: str, measured: WrongAnswers) -> dict[str, float]:
    """{split/error_name, …_low, …_high}, fractions."""
    stem = f"{split}/error_{name}"
    return dict(zip((stem, f"{stem}_low", f"{stem}_high"), measured.error(), strict=True))


def all_figures(measured: Mapping[str, WrongAnswers], split: str) -> Figures:
    """Lines and flat figures of what was measured by policy."""
    flat: dict[str, float] = {}
    for name, one in measured.items():
        flat |= figures(split, name, one)
    return Figures(lines(measured), flat, next(iter(measured.values())).total)


def lines(measured: Mapping[str, WrongAnswers]) -> list[str]:
    """One line a policy: its error with its 95 % Wilson interval, in percent."""
    return [
        f"{describe(name):38} {as_text('error', error):>8}  [{100 * low:.2f}, {100 * high:.2f}]"
        for name, (error, low, high) in ((n, m.error()) for n, m in measured.items())
    ]


def describe(name: str) -> str:
    """A policy's name in words; m10 is ten sampled rollouts."""
    if name[1:].isdigit():
        return f"{name[1:]} sampled rollouts, averaged"
    return _LABELS.get(name, f"control: {name}")
