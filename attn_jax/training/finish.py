"""The end of a run: test once, on the best checkpoint; draw; report; result.json last."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from attn_jax import devices, viz
from attn_jax.records import read_metrics, versions, write_atomically, write_sealed, writing
from attn_jax.training.run import Run
from attn_jax.training.state import TrainState
from attn_jax.training.writers import HISTORY


def finish(run: Run, state: TrainState) -> Path:
    """Measure the best checkpoint on the test set and write what the run leaves behind."""
    report = run.workdir / "report.html"
    best = devices.to_local(run.restore_best(state))
    if devices.is_first():
        _write(run, best, int(state.step), report)
    devices.barrier("finished")
    return report


def _write(run: Run, best: TrainState, steps: int, report: Path) -> None:
    run.progress.say(f"testing the checkpoint of step {run.notes['best_step']}, best on validation")
    conclusion = run.experiment.conclude(best)
    for line in conclusion.figures.lines:
        run.progress.say(line)
    made: dict[str, Any] = {
        "steps": steps,
        "best_step": run.notes["best_step"],
        "protocol": run.experiment.protocol,
        "data": run.experiment.data,
        "seed": run.settings.seed,
        "parameters": best.size,
        "warnings": list(run.notes.get("warnings", {}).values()),
        "command": _command(),
        **versions(),
    }
    pictures, sections = dict(conclusion.pictures), list(conclusion.sections)
    warned = "\n\n".join(f"Warning: {line}" for line in made["warnings"])
    if run.settings.log.pictures:
        curves = viz.to_png(viz.learning_curves(read_metrics(run.workdir / "metrics.jsonl")))
        caption = "Training and validation over the updates."
        pictures["curves.png"] = curves
        learned = [viz.Picture(curves, "Learning curves.", caption)]
        rows = read_metrics(run.workdir / HISTORY)
        drawn = run.history.draw(rows) if run.history else {}
        pictures |= {name: one.data for name, one in drawn.items()}
        learned += drawn.values()
        sections.append(viz.Section("How it learned", warned, learned))
    elif warned:
        sections.append(viz.Section("How it learned", warned))
    rows = [(name, str(value)) for name, value in made.items() if name != "warnings"]
    table = viz.Table(("what", "value"), rows, "The run.")
    sections.append(viz.Section("How this was made", "", [table]))
    page = viz.render_report(conclusion.title, conclusion.summary, sections)
    with writing(run.workdir):
        (run.workdir / "pictures").mkdir(exist_ok=True)
        for name, picture in pictures.items():
            write_atomically(run.workdir / "pictures" / name, picture)
        write_atomically(report, page)
        seconds = round(time.time() - run.started, 3)
        result = {
            **conclusion.figures.flat,
            run.experiment.best.figure: run.notes["best"],
            **made,
            "wall_seconds": seconds,
            "resumed_from": run.notes["resumed_from"],
        }
        write_sealed(run.workdir / "result.json", result)
    run.progress.say(f"report: {report}  ({seconds:.0f} s in all)")


def _command() -> str:
    """The command line of this process, as it was given."""
    spec = sys.modules["__main__"].__spec__
    given = ["-m", spec.name, *sys.argv[1:]] if spec else sys.argv
    return shlex.join(["python", *given])
