"""The loop: the whole life of a run, in one place."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax

from attn_jax.data import batch_ids
from attn_jax.training.checkpoint import Checkpoints
from attn_jax.training.experiment import Experiment
from attn_jax.training.guards import Terminated, check_finite
from attn_jax.training.names import Stopped, UserError, as_user_errors, check_installed
from attn_jax.training.prepare import prepare
from attn_jax.training.state import TrainState, data_mesh, over_batch, replicated
from attn_jax.training.update import many
from attn_jax.training.workdir import check_workdir, finished, write_config
from attn_jax.training.writers import Metrics, Progress, Row, TensorBoard


class Run(NamedTuple):
    """A run in progress: its folder, its parts, and what it knows of itself."""

    workdir: Path
    config: Any
    experiment: Experiment
    checkpoints: Checkpoints
    notes: dict[str, Any]
    progress: Progress
    started: float


def train(config: Any, workdir: str | Path, started: float | None = None) -> Path:
    """Train, measure, draw, report; or go on where an earlier run of this command stopped.

    Args:
      config: of a file in configs/.
      workdir: the run's folder.
      started: `time.time()` when the process began; now if None.

    Returns:
      The path of report.html.

    Raises:
      UserError: something the user can put right; nothing is written half.
      Diverged: a loss is not finite.
      Stopped: SIGTERM came; the state is saved.
    """
    started = time.time() if started is None else started
    workdir = Path(workdir)
    check_workdir(workdir, config)
    if finished(workdir, config.train.steps):
        print(f"{workdir} is finished: see {workdir / 'report.html'}", flush=True)
        return workdir / "report.html"
    experiment, state = _prepare(config)
    try:
        (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
        return _run(workdir, config, experiment, state, started)
    except OSError as error:
        raise UserError(f"could not write to {workdir}: {error.strerror or error}") from error


def _prepare(config: Any) -> tuple[Experiment, TrainState]:
    """Everything that can refuse a config, before anything is written."""
    with as_user_errors():
        check_installed("matplotlib", "PIL", *(["tensorboardX"] if config.log.tensorboard else []))
        experiment = prepare(config)
        return experiment, experiment.init()


def _run(
    workdir: Path, config: Any, experiment: Experiment, state: TrainState, started: float
) -> Path:
    checkpoints = Checkpoints(workdir / "checkpoints")
    notes = {"wall_seconds": 0.0, "resumed_from": [], "best_step": None, "best": None}
    found = checkpoints.restore_latest(state)
    if found:
        state, notes = found
        _check_steps(workdir, int(state.step), config.train.steps)
        notes["resumed_from"] = [*notes["resumed_from"], int(state.step)]
    write_config(workdir, config)
    started -= notes["wall_seconds"]
    notes |= experiment.notes
    progress = Progress(config.train.steps, int(state.step), config.log.progress)
    run = Run(workdir, config, experiment, checkpoints, notes, progress, started)
    progress.say(f"{experiment.data}; {state.size:,} parameters on {_devices()}")
    if found:
        progress.say(f"resuming {workdir} from step {int(state.step)}")
    try:
        state = _train(run, state)
    finally:
        progress.close()
    # Not before: pictures need matplotlib, and the first step should not wait for it.
    from attn_jax.training.finish import finish

    return finish(run, state)


def _check_steps(workdir: Path, step: int, steps: int) -> None:
    if steps < step:
        raise UserError(
            f"{workdir} is at step {step}; train.steps must be at least that; got {steps}"
        )


def _train(run: Run, state: TrainState) -> TrainState:
    """Calls of many updates each; between them: measure, log, save."""
    config, steps = run.config, run.config.train.steps
    step, saved = int(state.step), time.monotonic()
    state = jax.device_put(state, replicated(data_mesh()))
    advance, validate = make_advance(run), run.experiment.validation()
    with ExitStack() as stack:
        terminated = stack.enter_context(Terminated())
        outputs = [stack.enter_context(one) for one in _outputs(run, step)]
        while step < steps:
            state, row, rate = advance(state, step)
            step, best = row["step"], False
            if step % config.evaluate.every == 0 or step == steps:
                row |= validate(state.evaluated)
                best = _note_best(run.notes, step, row["validation/error_mean"])
            for output in outputs:
                output.write(row)
            run.progress.write(row, rate)
            stop = terminated.is_set or step == steps
            if best or stop or time.monotonic() - saved >= config.train.checkpoint_seconds:
                save(run, step, state)
                saved = time.monotonic()
            if stop and step < steps:
                raise Stopped(
                    f"SIGTERM: saved step {step} in {run.workdir}; the same command goes on"
                )
    return state


def make_advance(run: Run) -> Callable[[TrainState, int], tuple[TrainState, Row, float]]:
    """(state, step) -> the state some updates later, a row of mean figures, examples/s."""
    config, train, mesh = run.config, run.config.train, data_mesh()
    examples = jax.device_put(run.experiment.examples, replicated(mesh))
    total = len(jax.tree.leaves(examples)[0])
    call = jax.jit(many(run.experiment.update), donate_argnums=0)

    def advance(state: TrainState, step: int) -> tuple[TrainState, Row, float]:
        began = time.perf_counter()
        # Up to the next multiple: a run whose steps were raised falls in with its cadences again.
        count = min(train.steps_per_call - step % train.steps_per_call, train.steps - step)
        ids = batch_ids(config.seed, total, train.batch, step, count)
        state, terms = call(state, examples, jax.device_put(ids, over_batch(mesh, 1)))
        terms = jax.device_get(terms)
        check_finite(terms, step, run.checkpoints)
        row = {f"train/{name}": float(values.mean()) for name, values in terms.items()}
        rate = count * train.batch / (time.perf_counter() - began)
        return state, {"step": step + count} | row, rate

    return advance


def _outputs(run: Run, step: int) -> list[Metrics | TensorBoard]:
    outputs: list[Metrics | TensorBoard] = [Metrics(run.workdir / "metrics.jsonl", step)]
    if run.config.log.tensorboard:
        outputs.append(TensorBoard(run.workdir / "tb", step))
    return outputs


def save(run: Run, step: int, state: TrainState) -> None:
    """A checkpoint, with the time spent so far."""
    run.notes["wall_seconds"] = time.time() - run.started
    try:
        run.checkpoints.save(step, state, run.notes)
    except Exception as error:  # orbax raises whatever its storage layers raise
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"could not write a checkpoint to {run.checkpoints.folder}: {line}"
        ) from error


def _note_best(notes: dict[str, Any], step: int, error: float) -> bool:
    """Whether this is the best so far; of equals the latest, which has learned longest."""
    better = notes["best"] is None or error <= notes["best"]
    if better:
        notes |= {"best": error, "best_step": step}
    return better


def _devices() -> str:
    return f"{jax.device_count()} {jax.devices()[0].device_kind} device(s)"
