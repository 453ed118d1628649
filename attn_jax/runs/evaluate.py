"""Measuring a checkpoint again, on its own data or on other."""

from pathlib import Path
from typing import Any

from attn_jax import fields
from attn_jax.errors import UserError, as_user_errors, check_name
from attn_jax.records import versions
from attn_jax.runs.load import LoadedRun, load
from attn_jax.systems import prepare, read_config
from attn_jax.training.experiment import Experiment, Figures


def evaluate(
    workdir: str | Path,
    *,
    step: int | None = None,
    source: str | None = None,
    path: str | None = None,
    split: str = "test",
) -> tuple[Figures, dict[str, Any]]:
    """Every policy on a split of any source, prepared and composed as the run's own.

    Classes are matched by name; data may lack some of them.

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
    other = source or path
    experiment = _on_other_data(loaded, source, path) if other else _on_own_data(loaded)
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


def _on_own_data(loaded: LoadedRun) -> Experiment:
    """The run's experiment, if its data are what they were."""
    _, experiment = prepare(loaded.config)
    facts = fields.as_json(experiment.facts)
    if differ := fields.differences(loaded.facts, facts, ("in the run", "here")):
        raise UserError(f"the run was trained on other data: {'; '.join(differ)}")
    return experiment


def _on_other_data(loaded: LoadedRun, source: str | None, path: str | None) -> Experiment:
    """The experiment that measures the run on the data of another source, or at another path."""
    if loaded.system.prepare_other is None:
        raise UserError("the run makes its own data; there is no other source of it")
    data = loaded.config["data"]
    data = {**data, "source": source or data["source"], "path": path, "stream": False}
    with as_user_errors():
        _, settings = read_config({**loaded.config, "data": data})
        return loaded.system.prepare_other(settings, loaded.facts)
