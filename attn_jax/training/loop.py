"""The loop: the whole life of a run, in one place."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax

from attn_jax import cluster, devices, fields
from attn_jax.errors import Stopped, UserError, as_user_errors, check_installed
from attn_jax.records import Row, write_json
from attn_jax.training.checkpoint import Checkpoints
from attn_jax.training.experiment import Experiment, System
from attn_jax.training.finish import finish
from attn_jax.training.guards import Terminated, check_finite
from attn_jax.training.run import Run, check_workdir, finished
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.training.update import fresh_state, make_update, many
from attn_jax.training.writers import Metrics, Progress, TensorBoard
from attn_jax.types import PyTree


def train(
    system: System, config: Mapping[str, Any], workdir: str | Path, started: float | None = None
) -> Path:
    """Train, measure, draw, report; or go on where an earlier run of this command stopped.

    Args:
      system: what is trained.
      config: plain data with the system's sections, such as a ConfigDict's `to_dict()`.
      workdir: the run's folder; of many processes, one that all of them see.
      started: `time.time()` when the process began; now if None.

    Returns:
      The path of report.html.

    Raises:
      UserError: something the user can put right; nothing is written half.
      Diverged: a loss is not finite.
      Stopped: SIGTERM came; the state is saved.
    """
    started = time.time() if started is None else started
    workdir, config = Path(workdir), fields.as_json(config)
    cluster.check_agreement(config)
    check_workdir(workdir, config)
    with as_user_errors():
        settings = fields.read(system.sections, config, like=system.config)
        if finished(workdir, settings.train.steps):
            print(f"{workdir} is finished: see {workdir / 'report.html'}", flush=True)
            return workdir / "report.html"
        drawing = ["matplotlib", "PIL"] if settings.log.pictures else []
        check_installed(*drawing, *(["tensorboardX"] if settings.log.tensorboard else []))
        devices.check_batch(settings.train.batch)
        # Everything that can refuse a config, before anything is written.
        experiment = system.prepare(settings)
        split = settings.train.state == "sharded"
        state = devices.init_sharded(lambda: fresh_state(settings, experiment.learner), split)
    try:
        (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
        run, state = _begin(workdir, settings, experiment, state, started)
        if devices.is_first():
            write_json(workdir / "config.json", config)
        try:
            state = _train(run, state)
        finally:
            run.progress.close()
        return finish(run, state)
    except OSError as error:
        raise UserError(f"could not write to {workdir}: {error.strerror or error}") from error


def _begin(
    workdir: Path, settings: Settings, experiment: Experiment, state: TrainState, started: float
) -> tuple[Run, TrainState]:
    """The run and its state: a new one, or the newest checkpoint's."""
    checkpoints = Checkpoints(workdir / "checkpoints")
    notes = {"wall_seconds": 0.0, "resumed_from": [], "best_step": None, "best": None}
    found = checkpoints.restore_latest(state)
    if found:
        state, notes = found
        notes["resumed_from"] = [*notes["resumed_from"], int(state.step)]
    step, steps = int(state.step), settings.train.steps
    if steps < step:
        raise UserError(
            f"{workdir} is at step {step}; train.steps must be at least that; got {steps}"
        )
    started -= notes["wall_seconds"]
    notes["facts"] = dict(experiment.facts)
    progress = Progress(settings, step, experiment.shown)
    progress.say(f"{experiment.data}; {state.size:,} parameters on {devices.describe()}")
    if found:
        progress.say(f"resuming {workdir} from step {step}")
    return Run(workdir, settings, experiment, checkpoints, notes, progress, started), state


def _train(run: Run, state: TrainState) -> TrainState:
    """Calls of many updates each; between them: measure, log, save."""
    settings, steps = run.settings, run.settings.train.steps
    step, saved = int(state.step), time.monotonic()
    with ExitStack() as stack:
        terminated = stack.enter_context(Terminated())
        outputs = [stack.enter_context(closing(one)) for one in _outputs(run, step)]
        ahead = stack.enter_context(Ahead(run))
        advance = make_advance(run, ahead, state)
        while step < steps:
            state, row, rate = advance(state, step)
            step, best = int(row["step"]), False
            if step % settings.evaluate.every == 0 or step == steps:
                row |= run.experiment.validate(devices.to_local(state))
                best = run.note_best(step, row[run.experiment.best.figure])
            for output in outputs:
                output.write(row)
            run.progress.write(row, rate)
            stop = terminated.now() or step == steps
            seconds = time.monotonic() - saved
            if (
                best
                or stop
                or devices.first_process_due(seconds, settings.train.checkpoint_seconds)
            ):
                run.save(step, state)
                saved = time.monotonic()
            if stop and step < steps:
                raise Stopped(
                    f"SIGTERM: saved step {step} in {run.workdir}; the same command goes on"
                )
    return state


class Ahead:
    """What each call of the update is handed, made on a thread one call ahead."""

    def __init__(self, run: Run):
        self._feed, self._train = run.experiment.feed, run.settings.train
        self._thread = ThreadPoolExecutor(1, "feed")
        self._next: tuple[int, Future] | None = None

    def take(self, step: int) -> tuple[int, PyTree]:
        """(count, fed) of the call that begins at `step`; the one after it is begun."""
        begun, self._next = self._next, None
        count = self._count(step)
        future = begun[1] if begun and begun[0] == step else self._thread.submit(self._made, step)
        fed = future.result()
        if step + count < self._train.steps:
            self._next = step + count, self._thread.submit(self._made, step + count)
        return count, fed

    def _count(self, step: int) -> int:
        # Up to the next multiple: a run whose steps were raised falls in with its cadences again.
        per_call = self._train.steps_per_call
        return min(per_call - step % per_call, self._train.steps - step)

    def _made(self, step: int) -> PyTree:
        with as_user_errors():
            return devices.shard_batches(self._feed(step, self._count(step)))

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: Any) -> None:
        self._thread.shutdown(cancel_futures=True)


def make_advance(
    run: Run, ahead: Ahead, state: TrainState
) -> Callable[[TrainState, int], tuple[TrainState, Row, float]]:
    """(state, step) -> the state some updates later, a row of mean figures, examples/s."""
    resident = devices.replicate(run.experiment.resident)
    updates = many(make_update(run.settings, run.experiment.learner))
    layout = jax.tree.map(lambda leaf: leaf.sharding, state)
    shardings = layout, devices.replicated(devices.data_mesh())
    call = jax.jit(updates, donate_argnums=0, out_shardings=shardings)

    def advance(state: TrainState, step: int) -> tuple[TrainState, Row, float]:
        began = time.perf_counter()
        count, fed = ahead.take(step)
        state, terms = call(state, resident, fed)
        terms = jax.device_get(terms)
        check_finite(terms, step, run.checkpoints)
        row = {f"train/{name}": float(values.mean()) for name, values in terms.items()}
        rate = count * run.settings.train.batch / (time.perf_counter() - began)
        return state, {"step": step + count} | row, rate

    return advance


def _outputs(run: Run, step: int) -> list[Metrics | TensorBoard]:
    if not devices.is_first():
        return []
    outputs: list[Metrics | TensorBoard] = [Metrics(run.workdir / "metrics.jsonl", step)]
    if run.settings.log.tensorboard:
        outputs.append(TensorBoard(run.workdir / "tb", step))
    return outputs
