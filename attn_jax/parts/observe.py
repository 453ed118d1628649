"""Observations: rollouts at the policy's mean, kept as arrays for pictures and answers."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import viz
from attn_jax.data import from_uint8
from attn_jax.parts.learner import Wiring
from attn_jax.parts.policies import Answers, describe
from attn_jax.tasks import rollouts
from attn_jax.types import Key, PyTree

_SHOWN = 8


class Observations(NamedTuple):
    """One rollout of each image at the policy's mean, as numpy arrays.

    Attributes:
      images: [N, H, W, C].
      where: [N, T, ...], what each step's read was given.
      glimpses: [N, T, ...], what it gave.
      probabilities: [N, T, classes] after each glimpse.
    """

    images: np.ndarray
    where: np.ndarray
    glimpses: np.ndarray
    probabilities: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        """[N], the likeliest class after the last glimpse."""
        return self.probabilities[:, -1].argmax(-1)


def observe(wiring: Wiring, params: PyTree, images: np.ndarray, key: Key) -> Observations:
    """Where the policy's mean looks in images [N, H, W, C] (uint8, or float in [0, 1])."""
    x = np.asarray(from_uint8(images)) if images.dtype == np.uint8 else images
    model, ids = wiring.at_mode(), jnp.arange(len(x))
    outputs = jax.jit(lambda p, x: rollouts(model, {"params": p}, x, key, ids, 1))(params, x)
    trace = outputs.trace
    where, glimpses = np.asarray(trace.selection.where[0]), np.asarray(trace.glimpse[0])
    return Observations(x, where, glimpses, np.asarray(jax.nn.softmax(outputs.logits[0])))


def steps_png(measured: Mapping[str, Answers]) -> bytes:
    """Error against the number of glimpses, with intervals."""
    series = {}
    for name, one in measured.items():
        each = np.array([one.error(t) for t in range(len(one.wrong))])
        series[describe(name)] = tuple(each.T)
    return viz.to_png(viz.error_by_glimpse(series))


def choose_examples(labels: np.ndarray, count: int = _SHOWN) -> np.ndarray:
    """The first image of each class, then the next ones, up to `count`."""
    seen = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    rounds = (one[i] for i in range(len(labels)) for one in seen if i < len(one))
    return np.array([i for i, _ in zip(rounds, range(count), strict=False)])
