"""Asking a classifier about the user's own pictures."""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from attn_jax.data import from_uint8
from attn_jax.parts.digits import Canvas, picture_key, picture_on_canvas
from attn_jax.parts.learner import Wiring
from attn_jax.parts.observe import observe
from attn_jax.parts.policies import policies
from attn_jax.parts.report import Presentation
from attn_jax.tasks import rollouts
from attn_jax.types import Key, PyTree

_SHOWN = 16  # pictures that are drawn
_RANKED = 3


class Asked(NamedTuple):
    """A classifier that is asked.

    Attributes:
      settings: of its run.
      canvas: what it knows of its images.
      wiring: the mechanism and the model.
      presentation: how it is drawn.
    """

    settings: Any
    canvas: Canvas
    wiring: Wiring
    presentation: Presentation


class Reading(NamedTuple):
    """The answer to one picture.

    Attributes:
      path: of the picture.
      probabilities: class -> probability, averaged over rollouts, the likeliest first.
      spread: standard deviation over rollouts of the likeliest class's probability.
      rollouts: how many there were; 1 where nothing is sampled.
      preparation: what was done to the picture first.
      refused: why there is no answer; "" if there is one.
    """

    path: str
    probabilities: Mapping[str, float]
    spread: float
    rollouts: int
    preparation: str
    refused: str = ""

    @property
    def line(self) -> str:
        """The three likeliest classes, the first with its spread over rollouts."""
        if self.refused:
            return f"{self.path}: not read: {self.refused}"
        (first, p), *others = list(self.probabilities.items())[:_RANKED]
        several = f" ± {100 * self.spread:.1f} over {self.rollouts} rollouts"
        spread = several if self.rollouts > 1 else ""
        ranked = [f"{first} {100 * p:.1f} %{spread}", *(f"{c} {100 * q:.1f} %" for c, q in others)]
        return f"{self.path}: {', '.join(ranked)}   [{self.preparation}]"

    @property
    def record(self) -> dict[str, Any]:
        """The answer as plain data."""
        if self.refused:
            return {"file": self.path, "refused": self.refused}
        best = next(iter(self.probabilities))
        return {
            "file": self.path,
            "class": best,
            "probability": self.probabilities[best],
            "spread": self.spread,
            "rollouts": self.rollouts,
            "probabilities": dict(self.probabilities),
            "preparation": self.preparation,
        }


def read_pictures(
    asked: Asked, params: PyTree, paths: Sequence[str]
) -> tuple[list[Reading], bytes]:
    """Each picture's class, and where the model looked in the first pictures.

    Args:
      asked: the classifier.
      params: its parameters.
      paths: of the pictures.

    Returns:
      A reading for each, and a PNG of rollouts at the policy's mean; b"" if none could be read.
    """
    readings, shown = read_each(asked.canvas, _make_answer(asked, params), paths)
    if not len(shown):
        return readings, b""
    observations = observe(asked.wiring, params, shown, picture_key(asked.settings.data.seed))
    drawn = asked.presentation.draw(observations, None)
    return readings, drawn["paths.png"].data


def read_each(
    canvas: Canvas,
    answer: Callable[[np.ndarray], Float[np.ndarray, "M *T K"]],
    paths: Sequence[str],
) -> tuple[list[Reading], np.ndarray]:
    """A reading of each picture, and the first pictures that could be read, to be drawn.

    Args:
      canvas: what the model knows of its images.
      answer: an image uint8 [H, W, C] -> probabilities of each rollout, [M, classes]; of several
        objects, [M, T, classes].
      paths: of the pictures.
    """
    readings, images = [], []
    for path in map(str, paths):
        try:
            image, note = picture_on_canvas(path, canvas)
        except (ValueError, OSError) as error:
            readings.append(Reading(path, {}, 0.0, 0, "", str(error)))
            continue
        images.append(image)
        readings.append(_reading(path, answer(image), canvas.classes, note))
    return readings, np.stack(images[:_SHOWN]) if images else np.zeros((0, *canvas.canvas))


def _make_answer(asked: Asked, params: PyTree) -> Callable[[np.ndarray], Float[np.ndarray, "M K"]]:
    """An image uint8 [H, W, C] -> the probabilities of M sampled rollouts, after the last glimpse.

    Pictures are asked about one by one, each with a key of its own pixels, so that an answer
    depends on no other picture.
    """
    evaluate, key = asked.settings.evaluate, picture_key(asked.settings.data.seed)
    policy = policies(asked.wiring, evaluate)[f"m{evaluate.rollouts}"]
    model = asked.wiring.model(policy.estimator, policy.start)

    @jax.jit
    def roll(params: PyTree, image: Array, number: Array, key: Key) -> Array:
        x, variables = from_uint8(image)[None], {"params": params}
        outputs = rollouts(model, variables, x, key, number[None], policy.rollouts)
        return jax.nn.softmax(outputs.logits[:, 0, -1])

    def answer(image: np.ndarray) -> np.ndarray:
        return np.asarray(roll(params, image, jnp.asarray(_number(image)), key))

    return answer


def _number(image: np.ndarray) -> np.int32:
    """A number that depends on the pixels alone, in the place of an example's id."""
    state = hashlib.blake2b(np.ascontiguousarray(image), digest_size=4)
    return np.frombuffer(state.digest(), "<i4")[0]


def _reading(
    path: str, p: Float[np.ndarray, "M *T K"], classes: Sequence[str], note: str
) -> Reading:
    """The likeliest classes, by the average over rollouts; of several objects, sequences of them.

    A sequence's objects are taken for independent, and each for one of its likeliest classes.
    """
    if p.ndim == 3:
        p, classes = _of_sequences(p, classes)
    mean = p.mean(0)
    order = np.argsort(-mean, kind="stable")
    ranked = {classes[c]: float(mean[c]) for c in order}
    return Reading(path, ranked, float(p[:, order[0]].std()), len(p), note)


def _of_sequences(
    p: Float[np.ndarray, "M T K"], classes: Sequence[str]
) -> tuple[Float[np.ndarray, "M S"], list[str]]:
    """The probabilities of the sequences of each object's likeliest classes, and their names."""
    best = np.argsort(-p.mean(0), axis=-1, kind="stable")[:, :_RANKED]
    chosen = list(itertools.product(*best))
    steps = range(p.shape[1])
    of_each = np.stack([p[:, steps, list(one)].prod(-1) for one in chosen], -1)
    return of_each, [" ".join(classes[c] for c in one) for one in chosen]
