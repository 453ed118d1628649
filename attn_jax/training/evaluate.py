"""Measuring a checkpoint again, on its own data or on other."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from attn_jax.training.experiment import Figures
from attn_jax.training.finish import versions
from attn_jax.training.load import load
from attn_jax.training.names import UserError, as_user_errors
from attn_jax.training.prepare import prepare


def evaluate(
    workdir: str | Path,
    *,
    step: int | None = None,
    source: str | None = None,
    path: str | None = None,
    split: str = "test",
) -> tuple[Figures, dict[str, Any]]:
    """Every policy on a split of any source, composed as the run composed its own.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best on validation.
      source, path: of the data; None: the run's.
      split: "train", "validation" or "test".

    Returns:
      What was measured, and a flat dict of it with what it was measured on.

    Raises:
      UserError: something the user can put right.
    """
    loaded = load(workdir, step)
    config = ConfigDict(loaded.config.to_dict())
    if source or path:
        if "source" not in config.data:
            raise UserError(f"{workdir} makes its own data; there is no other source of it")
        config.data.source, config.data.path = source or config.data.source, path
    with as_user_errors():
        experiment = prepare(config)
    given, needed = experiment.notes, loaded.parts.shape._asdict()
    if given != needed:
        raise UserError(
            f"the run has canvases {needed['canvas']} and {needed['num_classes']} classes; "
            f"{config.data.source} gives {given['canvas']} and {given['num_classes']}"
        )
    measured = experiment.measure(loaded.state, split)
    results: dict[str, Any] = {
        "step": loaded.step,
        "split": split,
        "examples": measured.count,
        **measured.flat,
        "protocol": experiment.protocol,
        "data": experiment.data,
        **versions(),
    }
    return measured, results
