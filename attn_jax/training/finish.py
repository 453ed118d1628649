"""The end of a run: test once, on the best checkpoint; draw; report; result.json last."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from attn_jax import devices, viz
from attn_jax.records import is_fraction, read_metrics, versions, write_atomically, write_json
from attn_jax.training.run import Run
from attn_jax.training.state import TrainState


def finish(run: Run, state: TrainState) -> Path:
    """Measure the best checkpoint on the test set and write what the run leaves behind."""
    report = run.workdir / "report.html"
    best, _ = run.checkpoints.restore(run.notes["best_step"], state)
    best, steps = devices.to_local(best), int(state.step)
    if devices.is_first():
        _write(run, best, steps, report)
    devices.barrier("finished")
    return report


def _write(run: Run, best: TrainState, steps: int, report: Path) -> None:
    run.progress.say(f"testing the checkpoint of step {run.notes['best_step']}, best on validation")
    conclusion = run.experiment.conclude(best)
    for line in conclusion.figures.lines:
        run.progress.say(line)
    results: dict[str, Any] = {
        **conclusion.figures.flat,
        "steps": steps,
        "best_step": run.notes["best_step"],
        run.experiment.best.figure: run.notes["best"],
        "protocol": run.experiment.protocol,
        "data": run.experiment.data,
        "seed": run.settings.seed,
        "parameters": best.size,
        "command": _command(),
        **versions(),
    }
    pictures, sections = dict(conclusion.pictures), list(conclusion.sections)
    if run.settings.log.pictures:
        curves = viz.to_png(viz.learning_curves(read_metrics(run.workdir / "metrics.jsonl")))
        caption = "Training and validation over the updates."
        pictures["curves.png"] = curves
        learned = [viz.Picture(curves, "Learning curves.", caption)]
        sections.append(viz.Section("How it learned", "", learned))
    sections.append(viz.Section("How this was made", "", [_table(results)]))
    (run.workdir / "pictures").mkdir(exist_ok=True)
    for name, picture in pictures.items():
        write_atomically(run.workdir / "pictures" / name, picture)
    page = viz.render_report(conclusion.title, conclusion.summary, sections)
    write_atomically(report, page)
    results |= {
        "wall_seconds": round(time.time() - run.started, 3),
        "resumed_from": run.notes["resumed_from"],
    }
    write_json(run.workdir / "result.json", results)
    run.progress.say(f"report: {report}  ({results['wall_seconds']:.0f} s in all)")


def _table(results: dict[str, Any]) -> viz.Table:
    rows = [(name, str(value)) for name, value in results.items() if not is_fraction(name)]
    return viz.Table(("what", "value"), rows, "The run.")


def _command() -> str:
    """The command line of this process, as it was given."""
    spec = sys.modules["__main__"].__spec__
    given = ["-m", spec.name, *sys.argv[1:]] if spec else sys.argv
    return shlex.join(["python", *given])
