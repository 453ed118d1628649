"""Measuring a checkpoint again, on its own data or on other."""

from pathlib import Path
from typing import Any

from attn_jax import fields
from attn_jax.errors import UserError, as_user_errors, check_name
from attn_jax.records import versions
from attn_jax.runs.load import load
from attn_jax.systems import prepare
from attn_jax.training.experiment import Figures


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
    with as_user_errors():
        check_name("split", split, ("train", "validation", "test"))
    loaded = load(workdir, step)
    config = dict(loaded.config)
    if source or path:
        if "source" not in config["data"]:
            raise UserError(f"{workdir} makes its own data; there is no other source of it")
        config["data"] = {**config["data"], "source": source or config["data"]["source"]}
        config["data"] |= {"path": path, "stream": False}
    _, experiment = prepare(config)
    facts = fields.as_json(experiment.facts)
    differ = fields.differences(loaded.facts, facts, ("in the run", "here"))
    if differ:
        raise UserError(f"the run was trained on other data: {'; '.join(differ)}")
    with as_user_errors():
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
