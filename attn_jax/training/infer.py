"""Asking a trained model about the user's own pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_jax.data.own import load_own
from attn_jax.training import pictures
from attn_jax.training.load import load
from attn_jax.training.names import as_user_errors


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


def infer(workdir: str | Path, paths: Sequence[str]) -> tuple[list[Reading], bytes]:
    """One rollout at the policy's mean for each picture.

    Returns:
      The readings, and a PNG of where the model looked.

    Raises:
      UserError: for a run or a picture that cannot be read.
    """
    loaded = load(workdir)
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
