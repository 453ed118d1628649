"""Asking a trained model about the user's own pictures, or texts."""

from collections.abc import Sequence
from pathlib import Path

from attn_jax.errors import as_user_errors
from attn_jax.runs.load import load
from attn_jax.training.experiment import Answer


def infer(workdir: str | Path, queries: Sequence[str]) -> tuple[Sequence[Answer], bytes]:
    """Answer for each picture, or for each text if the run was over texts.

    Args:
      workdir: the run's folder.
      queries: paths of pictures, or texts.

    Returns:
      The answer to each, and a PNG of where the model looked in the first of them. A picture that
      cannot be read has an answer that says why.

    Raises:
      UserError: for a run that cannot be read, or a text with strange characters.
    """
    loaded = load(workdir)
    with as_user_errors():
        return loaded.system.ask(loaded.settings, loaded.facts, loaded.variables, queries)
