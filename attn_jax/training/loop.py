"""The loop: the whole life of a run, in one place."""

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import jax

from attn_jax import cluster, devices, fields, lock, memory
from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import Stopped, UserError, as_user_errors, check_installed
from attn_jax.records import Row, write_json, writing
from attn_jax.training.experiment import Experiment, System
from attn_jax.training.finish import finish
from attn_jax.training.guards import check_finite
from attn_jax.training.run import Run, check_workdir, config_in, finished, identity
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState
from attn_jax.training.update import fresh_state, make_update, many
from attn_jax.training.writers import Outputs, Progress
from attn_jax.types import PyTree


def train(
    system: System, config: Mapping[str, Any], workdir: str | Path, started: float | None = None
) -> Path:
    """Train, measure, draw, and give the report's path; or go on where an earlier run stopped.

    Args:
      system: what is trained.
      config: plain data with the system's sections, such as a ConfigDict's `to_dict()`.
      workdir: the run's folder; of many processes, one that all of them see.
      started: `time.time()` when the process began; now if None.

    Raises:
      UserError: something the user can put right; nothing is written half.
      Diverged: a loss is not finite.
      Stopped: SIGTERM came; the state is saved.
    """
    started = time.time() if started is None else started
    workdir = Path(workdir)
    with as_user_errors():
        config = fields.settled(system.sections, fields.as_json(config), config_in(workdir))
    cluster.check_agreement(config)
    # Everything that can refuse a config, before anything is written.
    with cluster.refusing_together(), as_user_errors():
        check_workdir(workdir, config)
        settings = fields.read(system.sections, config, like=system.config)
        done = finished(workdir, settings.train.steps)
        experiment = None if done else _prepare(system, settings)
    cluster.check_one_folder("different runs", "finished" if done else "unfinished")
    if experiment is None:
        if devices.is_first():
            print(f"{workdir} is finished: see {workdir / 'report.html'}", flush=True)
        return workdir / "report.html"
    split = settings.train.state == "sharded"
    with cluster.refusing_together():
        devices.check_state(lambda: fresh_state(settings, experiment.learner), split)
    with ExitStack() as stack:
        with cluster.refusing_together(), writing(workdir):
            (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
            if devices.is_first():
                stack.enter_context(lock.hold(workdir))
            check_workdir(workdir, config)  # again: another may have come first
        return _run(workdir, config, settings, experiment, started)


def _run(
    workdir: Path,
    config: Mapping[str, Any],
    settings: Settings,
    experiment: Experiment,
    started: float,
) -> Path:
    """Train and finish in a folder that is ours."""
    split = settings.train.state == "sharded"
    state = devices.init_sharded(lambda: fresh_state(settings, experiment.learner), split)
    checkpoints = Checkpoints(workdir / "checkpoints", identity(config))
    with closing(checkpoints):
        run, state = _begin(workdir, settings, experiment, checkpoints, state, started)
        with writing(workdir):
            if devices.is_first():
                write_json(workdir / "config.json", config)
        with closing(run.progress):
            state = _train(run, state)
        return finish(run, state)


def _prepare(system: System, settings: Settings) -> Experiment:
    """The experiment, where all that the run needs is there."""
    needed = ["matplotlib", "PIL"] if settings.log.pictures else []
    needed += ["tensorboardX"] if settings.log.tensorboard else []
    needed += ["tqdm"] if settings.log.progress and sys.stderr.isatty() else []
    check_installed(*needed)
    train = settings.train
    devices.check_batch(train.batch, min(train.steps_per_call, train.steps))
    return system.prepare(settings)


def _begin(
    workdir: Path,
    settings: Settings,
    experiment: Experiment,
    checkpoints: Checkpoints,
    state: TrainState,
    started: float,
) -> tuple[Run, TrainState]:
    """The run and its state: a new one, or the newest checkpoint's."""
    notes = {"wall_seconds": 0.0, "resumed_from": [], "best_step": None, "best": None}
    notes["warnings"] = {}
    facts, steps = fields.as_json(experiment.facts), settings.train.steps
    differ = "checkpoints of different steps"
    # Before restoring, which all do together, and after, when each may have passed over some.
    cluster.check_one_folder(differ, str(max(checkpoints.steps(), default=0)))
    with cluster.refusing_together():
        for step in checkpoints.steps():
            if others := fields.differences(checkpoints.noted(step, "facts") or facts, facts):
                raise UserError(f"{workdir} holds a run of other data: {'; '.join(others)}")
        found = checkpoints.restore_latest(state)
        if found:
            state, notes = found
            notes["resumed_from"] = [*notes["resumed_from"], int(state.step)]
        step = int(state.step)
        if steps < step:
            at = f"{workdir} is at step {step}"
            raise UserError(f"{at}; train.steps must be at least that; got {steps}")
    cluster.check_one_folder(differ, str(step))
    started -= notes["wall_seconds"]
    notes["facts"] = facts
    progress = Progress(settings, step, experiment.shown)
    progress.say(f"{experiment.data}; {state.size:,} parameters on {devices.describe()}")
    if found:
        progress.say(f"resuming {workdir} from step {step}")
    run = Run(workdir, settings, experiment, checkpoints, notes, progress, started)
    if notes["best_step"] is not None:  # should it be damaged, what follows is held against others
        run.restore_best(state)
    return run, state


def _train(run: Run, state: TrainState) -> TrainState:
    """Run calls of many updates; between calls validate, log and save."""
    settings, steps = run.settings, run.settings.train.steps
    step, saved = int(state.step), time.monotonic()
    limit = settings.train.checkpoint_seconds
    with ExitStack() as stack:
        guard: cluster.PreemptionGuard | None = None
        keeps = run.history is not None
        outputs = stack.enter_context(closing(Outputs(run.workdir, settings, step, keeps)))
        ahead = stack.enter_context(closing(Prefetcher(run)))
        advance = make_advance(run, ahead, state)
        if step == steps and run.notes.get("validated") != step:  # it had more before it
            outputs.write({"step": step} | run.validate(state)[0], run.kept(state))
            run.save(step, state)
        while step < steps:
            state, row, rate = advance(state, step)
            run.watch(row)
            # Not sooner: before the first call there is nothing to save, and much to compile.
            guard = guard or stack.enter_context(cluster.PreemptionGuard())
            step, best, kept = int(row["step"]), False, {}
            if step % settings.evaluate.every == 0 or step == steps:
                figures, best = run.validate(state)
                row, kept = row | figures, run.kept(state)
            outputs.write(row, kept)
            run.progress.write(row, rate)
            stop = guard.now() or step == steps
            if best or stop or devices.first_process_due(time.monotonic() - saved, limit):
                run.save(step, state)
                saved = time.monotonic()
            if stop and step < steps:
                line = f"SIGTERM: saved step {step} in {run.workdir}; the same command goes on"
                raise Stopped(line)
    return state


class Prefetcher:
    """Makes the data of each call of the update on a thread, one call ahead."""

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

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)


def make_advance(
    run: Run, ahead: Prefetcher, state: TrainState
) -> Callable[[TrainState, int], tuple[TrainState, Row, float]]:
    """(state, step) -> the state some updates later, a row of mean figures, examples/s."""
    resident = devices.replicate(run.experiment.resident)
    updates = many(make_update(run.settings, run.experiment.learner))
    layout = jax.tree.map(lambda leaf: leaf.sharding, state)
    shardings = layout, devices.replicated(devices.data_mesh())
    what = f"{run.settings.train.steps_per_call} updates of train.batch={run.settings.train.batch}"
    call = memory.within(what, jax.jit(updates, donate_argnums=0, out_shardings=shardings))

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
