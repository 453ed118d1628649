"""Policies measured on images: the mean, averaged rollouts and controls, with their intervals."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int

from attn_jax import memory
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


class Answers(NamedTuple):
    """Answers to images whose classes are known.

    Attributes:
      given: int [N, T], after each glimpse.
      labels: int [N].
    """

    given: Int[np.ndarray, "N T"]
    labels: Int[np.ndarray, "N"]

    @property
    def total(self) -> int:
        """How many images there are."""
        return len(self.labels)

    @property
    def wrong(self) -> Int[np.ndarray, "T"]:
        """How many answers are wrong after each glimpse."""
        return (self.given != self.labels[:, None]).sum(0)

    def confusion(self, classes: int) -> Int[np.ndarray, "K K"]:
        """How many images of each class (rows) are given each last answer (columns)."""
        counts = np.zeros((classes, classes), int)
        np.add.at(counts, (self.labels, self.given[:, -1]), 1)
        return counts

    def error(self, step: int = -1) -> tuple[float, float, float]:
        """The fraction that is wrong after a glimpse, with its 95 % Wilson interval."""
        count = int(self.wrong[step])
        return count / self.total, *wilson(count, self.total)


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


def make_measure(
    wiring: Wiring, policy: Policy, batch: int
) -> Callable[[PyTree, np.ndarray, np.ndarray, Key], Answers]:
    """(params, images uint8 [N, H, W, C], labels [N], key) -> the policy's answers."""
    model = wiring.model(policy.estimator, policy.start)

    @partial(memory.within, f"measuring {policy.rollouts} rollouts of {batch} images (evaluate)")
    @jax.jit
    def answer(params: PyTree, images: Array, ids: Array, key: Key) -> Array:
        variables = {"params": params}
        p = probabilities(model, variables, from_uint8(images), key, ids, policy.rollouts)
        return p.argmax(-1)

    def measure(params: PyTree, images: np.ndarray, labels: np.ndarray, key: Key) -> Answers:
        given = [
            np.asarray(answer(params, one, jnp.asarray(ids), key))
            for one, ids in batches(images, batch)
        ]
        return Answers(np.concatenate(given)[: len(images)], labels)

    return measure


def batches(images: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Equal batches with ids; the last is filled up from the first."""
    size = min(size, len(images))
    for start in range(0, len(images), size):
        rows = np.arange(start, start + size)
        yield images[rows % len(images)], rows


def measure_all(
    wiring: Wiring, evaluate: EvaluatePolicies, params: PyTree, split: Images, key: Key
) -> dict[str, Answers]:
    """Every policy on one split: the mean, the average of M, and the controls."""
    return {
        name: make_measure(wiring, policy, evaluate.batch)(params, *split, key)
        for name, policy in policies(wiring, evaluate).items()
    }


def figures(split: str, name: str, measured: Answers) -> dict[str, float]:
    """{split/error_name, …_low, …_high}, fractions."""
    stem = f"{split}/error_{name}"
    return dict(zip((stem, f"{stem}_low", f"{stem}_high"), measured.error(), strict=True))


def all_figures(measured: Mapping[str, Answers], split: str) -> Figures:
    """Lines and flat figures of what was measured by policy."""
    flat: dict[str, float] = {}
    for name, one in measured.items():
        flat |= figures(split, name, one)
    return Figures(lines(measured), flat, next(iter(measured.values())).total)


def lines(measured: Mapping[str, Answers]) -> list[str]:
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
