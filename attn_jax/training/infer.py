"""Asking a trained model about the user's own pictures, or texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_jax.data.dates import MAX_LENGTH, Sequences, decode_output, encode_input
from attn_jax.data.own import load_own
from attn_jax.training import pictures, texts
from attn_jax.training.load import Loaded, load
from attn_jax.training.model import MODELS
from attn_jax.training.names import as_user_errors
from attn_jax.training.transduction import make_reader


class Reading(NamedTuple):
    """What the model says of one picture.

    Attributes:
      path: of the picture.
      ranked: (class, probability), the likeliest first.
      said: what was done to the picture first.
    """

    path: str
    ranked: list[tuple[int, float]]
    said: str

    @property
    def line(self) -> str:
        """The three likeliest."""
        ranked = "  ".join(f"{c} ({100 * p:.1f} %)" for c, p in self.ranked[:3])
        return f"{self.path}: {ranked}   [{self.said}]"


class Answer(NamedTuple):
    """What the model says of one text."""

    text: str
    said: str

    @property
    def line(self) -> str:
        """Both."""
        return f"{self.text}: {self.said}"


def infer(workdir: str | Path, asked: Sequence[str]) -> tuple[list[Reading] | list[Answer], bytes]:
    """One rollout at the policy's mean for each picture, or text if the run was over texts.

    Args:
      workdir: the run's folder.
      asked: paths of pictures, or texts.

    Returns:
      What it says of each, and a PNG of where the model looked.

    Raises:
      UserError: for a run or a picture that cannot be read, or a text with strange characters.
    """
    loaded = load(workdir)
    if MODELS[loaded.config.model.name].task == "transduction":
        return _answers(loaded, asked)
    return _readings(loaded, asked)


def _readings(loaded: Loaded, paths: Sequence[str]) -> tuple[list[Reading], bytes]:
    height, _, channels = loaded.parts.shape.canvas
    with as_user_errors():
        own = [load_own(path, height, channels) for path in paths]
    images = np.stack([one.image for one in own])
    key = pictures.picture_key(loaded.config)
    looked = pictures.look(loaded.config, loaded.parts, loaded.variables, images, key)
    final = looked.probabilities[:, -1]
    readings = [
        Reading(str(path), [(int(c), float(p[c])) for c in np.argsort(-p)], one.said)
        for path, one, p in zip(paths, own, final, strict=True)
    ]
    return readings, pictures.looked_png(loaded.config, loaded.parts, looked, None)


def _answers(loaded: Loaded, given: Sequence[str]) -> tuple[list[Answer], bytes]:
    lower = [text.lower() for text in given]
    with as_user_errors():
        codes, lengths = encode_input(lower, MAX_LENGTH)
    count = len(lower)
    unknown = (np.zeros((count, 10), np.uint8), np.zeros((count, 10, 2), np.int16))
    split = Sequences(codes, lengths, *unknown, np.zeros(count, np.uint8))
    greedy = loaded.parts.final.greedy
    read = make_reader(loaded.config, loaded.parts, greedy)(loaded.variables, split)
    answers = [Answer(*pair) for pair in zip(lower, decode_output(read.said), strict=True)]
    return answers, texts.alignment_png(read, list(range(count)))
