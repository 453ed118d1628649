"""Measuring a checkpoint again, on its own data or on other."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from attn_jax.training.build import build_data
from attn_jax.training.finish import measure_all, protocol, versions
from attn_jax.training.load import load
from attn_jax.training.measure import Measured, figures, freeze
from attn_jax.training.names import UserError, as_user_errors

_SPLITS = {"train": 0, "validation": 1, "test": 2}  # what their composites are frozen by


def evaluate(
    workdir: str | Path,
    *,
    step: int | None = None,
    source: str | None = None,
    path: str | None = None,
    split: str = "test",
) -> tuple[dict[str, Measured], dict[str, Any]]:
    """Every policy on a split of any source, composed as the run composed its own.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best on validation.
      source, path: of the data; None: the run's.
      split: "train", "validation" or "test".

    Returns:
      What was measured by policy, and a flat dict of figures with what they were measured on.

    Raises:
      UserError: something the user can put right.
    """
    loaded = load(workdir, step)
    config = ConfigDict(loaded.config.to_dict())
    if source or path:
        config.data.source, config.data.path = source or config.data.source, path
    with as_user_errors():
        data = build_data(config)
    if data.shape != loaded.parts.shape:
        raise UserError(
            f"the run has canvases {loaded.parts.shape.canvas} and "
            f"{loaded.parts.shape.num_classes} classes; {config.data.source} gives "
            f"{data.shape.canvas} and {data.shape.num_classes}"
        )
    chosen = getattr(data.source, split)
    which = _SPLITS[split]
    composed = freeze(config, data, chosen, which)
    measured = measure_all(config, loaded.parts, loaded.state, composed, which)
    results: dict[str, Any] = {"step": loaded.step, "split": split, "images": len(chosen.labels)}
    for name, one in measured.items():
        results |= figures(split, name, one)
    results |= {"protocol": protocol(config), "data": data.source.description, **versions()}
    return measured, results
