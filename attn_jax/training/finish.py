"""The end of a run: test once, on the best checkpoint; draw; report; result.json last."""

import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from attn_jax.training.state import TrainState
from attn_jax.training.writers import read_metrics, write_atomically

if TYPE_CHECKING:
    from attn_jax.training.loop import Run


def finish(run: "Run", state: TrainState) -> Path:
    """Measure the best checkpoint on the test set and write what the run leaves behind."""
    best, _ = run.checkpoints.restore(run.notes["best_step"], state)
    run.progress.say(f"testing the checkpoint of step {run.notes['best_step']}, best on validation")
    rows = read_metrics(run.workdir / "metrics.jsonl")
    conclusion = run.experiment.conclude(best, rows)
    for line in conclusion.figures.lines:
        run.progress.say(line)
    results: dict[str, Any] = {
        **conclusion.figures.flat,
        "steps": int(state.step),
        "best_step": run.notes["best_step"],
        "validation/error_mean": run.notes["best"],
        "protocol": run.experiment.protocol,
        "data": run.experiment.data,
        "seed": run.config.seed,
        "data_seed": run.config.data.seed,
        "parameters": state.size,
        "command": _command(),
        **versions(),
    }
    (run.workdir / "pictures").mkdir(exist_ok=True)
    for name, picture in conclusion.drawn.items():
        write_atomically(run.workdir / "pictures" / name, picture)
    report = run.workdir / "report.html"
    write_atomically(report, conclusion.page(results))
    results |= {
        "wall_seconds": round(time.time() - run.started, 3),
        "resumed_from": run.notes["resumed_from"],
    }
    write_atomically(run.workdir / "result.json", json.dumps(results, indent=2) + "\n")
    run.progress.say(f"report: {report}  ({results['wall_seconds']:.0f} s in all)")
    return report


def _command() -> str:
    """This process's, as it was given."""
    spec = sys.modules["__main__"].__spec__
    given = ["-m", spec.name, *sys.argv[1:]] if spec else sys.argv
    return shlex.join(["python", *given])


def versions() -> dict[str, str]:
    """What the figures were made with."""
    import flax
    import jaxlib
    import optax

    packages = {"jax": jax, "jaxlib": jaxlib, "flax": flax, "optax": optax}
    made_with = {f"version/{name}": package.__version__ for name, package in packages.items()}
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return made_with | {"version/python": platform.python_version(), "device": device}
