"""The end of a run: test once, on the best checkpoint; draw; report; result.json last."""

import json
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from attn_jax.data import Images
from attn_jax.training import pictures
from attn_jax.training.measure import (
    Measured,
    figures,
    freeze,
    make_measure,
    measure_key,
    policies,
)
from attn_jax.training.report import assemble, lines
from attn_jax.training.state import TrainState
from attn_jax.training.writers import read_metrics, write_atomically

if TYPE_CHECKING:
    from attn_jax.training.loop import Run


def finish(run: "Run", state: TrainState) -> Path:
    """Measure the best checkpoint on the test set and write what the run leaves behind."""
    steps = int(state.step)
    best, _ = run.checkpoints.restore(run.notes["best_step"], state)
    composed = freeze(run.config, run.data, run.data.source.test, 2)
    run.progress.say(f"testing the checkpoint of step {run.notes['best_step']}, best on validation")
    measured = measure_all(run.config, run.parts, best, composed)
    for line in lines(measured):
        run.progress.say(line)
    results: dict[str, Any] = {}
    for name, one in measured.items():
        results |= figures("test", name, one)
    results |= {
        "steps": steps,
        "best_step": run.notes["best_step"],
        "validation/error_mean": run.notes["best"],
        "protocol": protocol(run.config),
        "data": run.data.source.description,
        "seed": run.config.seed,
        "data_seed": run.config.data.seed,
        "command": f"experiments.train --workdir={run.workdir}",
        **versions(),
    }
    rows = read_metrics(run.workdir / "metrics.jsonl")
    drawn = pictures.draw(run.config, run.parts, best.evaluated, composed, measured, rows)
    (run.workdir / "pictures").mkdir(exist_ok=True)
    for name, picture in drawn.items():
        write_atomically(run.workdir / "pictures" / name, picture)
    report = run.workdir / "report.html"
    write_atomically(report, assemble(run.config, measured, drawn, results))
    results |= {
        "wall_seconds": round(time.time() - run.started, 3),
        "resumed_from": run.notes["resumed_from"],
    }
    write_atomically(run.workdir / "result.json", json.dumps(results, indent=2) + "\n")
    run.progress.say(f"report: {report}  ({results['wall_seconds']:.0f} s in all)")
    return report


def measure_all(
    config: Any, parts: Any, state: TrainState, split: Images, which: int = 2
) -> dict[str, Measured]:
    """Every policy on one split: the mean, the average of M, and the controls."""
    key = measure_key(config, which)
    return {
        name: make_measure(config, parts, policy)(state.evaluated, *split, key)
        for name, policy in policies(config, parts).items()
    }


def protocol(config: Any) -> str:
    """How the figures were taken, in one line."""
    data, model = config.data, config.model
    clutter = (
        f" with {data.pieces} pieces of {data.piece}x{data.piece}"
        if data.task == "cluttered"
        else ""
    )
    looks = (
        f"{model.glimpses} glimpses of {model.glimpse_size}x{model.glimpse_size}, "
        f"{model.scales} scale(s)"
        if model.name == "ram"
        else f"{model.glimpses} steps of {model.estimator} and {model.read} on an encoded map"
    )
    return (
        f"{data.task} {data.size}x{data.size}{clutter}; {looks}; best checkpoint by "
        f"validation error at the mean; test read once; 95 % Wilson intervals"
    )


def versions() -> dict[str, str]:
    """What the figures were made with."""
    import flax
    import jaxlib
    import optax

    packages = {"jax": jax, "jaxlib": jaxlib, "flax": flax, "optax": optax}
    made_with = {f"version/{name}": package.__version__ for name, package in packages.items()}
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return made_with | {"version/python": platform.python_version(), "device": device}
