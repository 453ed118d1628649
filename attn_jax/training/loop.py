"""The loop: the whole life of a run, in one place."""

import signal
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax.data import Images, batch_ids, frozen
from attn_jax.training.build import Data, Parts, build, build_data
from attn_jax.training.checkpoint import Checkpoints
from attn_jax.training.measure import Measured, figures, make_measure, policies
from attn_jax.training.names import Diverged, UserError
from attn_jax.training.state import TrainState, data_mesh, over_batch, replicated
from attn_jax.training.update import init_state, make_update, many
from attn_jax.training.workdir import check_workdir, finished, open_workdir
from attn_jax.training.writers import Metrics, Progress, TensorBoard


class Stopped(Exception):
    """SIGTERM came: the state is saved, the run may be taken up again. Exit status 143."""


class Run(NamedTuple):
    """A run in progress: its folder, its parts, and what it knows of itself."""

    workdir: Path
    config: Any
    data: Data
    parts: Parts
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
    data, parts, state = _prepare(config)
    try:
        open_workdir(workdir, config)
        return _run(workdir, config, data, parts, state, started)
    except OSError as error:
        raise UserError(f"could not write to {workdir}: {error.strerror or error}") from error


def _prepare(config: Any) -> tuple[Data, Parts, TrainState]:
    """Everything that can refuse a config, before anything is written."""
    try:
        data = build_data(config)
        parts = build(config, data.shape)
        return data, parts, init_state(config, parts)
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise UserError(str(error)) from error


def _run(
    workdir: Path, config: Any, data: Data, parts: Parts, state: TrainState, started: float
) -> Path:
    checkpoints = Checkpoints(workdir / "checkpoints")
    notes = {"wall_seconds": 0.0, "resumed_from": [], "best_step": None, "best": None}
    found = checkpoints.restore_latest(state)
    if found:
        state, notes = found
        notes["resumed_from"] = [*notes["resumed_from"], int(state.step)]
    started -= notes["wall_seconds"]
    notes |= {"canvas": data.shape.canvas, "num_classes": data.shape.num_classes}
    progress = Progress(config.train.steps, int(state.step), config.log.progress)
    run = Run(workdir, config, data, parts, checkpoints, notes, progress, started)
    progress.say(f"{data.source.description}; {_size(state)} on {_devices()}")
    if found:
        progress.say(f"resuming {workdir} from step {int(state.step)}")
    try:
        state = _train(run, state)
    finally:
        progress.close()
    from attn_jax.training.finish import finish

    return finish(run, state)


def _train(run: Run, state: TrainState) -> TrainState:
    """Calls of many updates each; between them: check, measure, log, save."""
    config, train = run.config, run.config.train
    mesh = data_mesh()
    everywhere = replicated(mesh)
    images, labels = jax.device_put(run.data.source.train, everywhere)
    state = jax.device_put(state, everywhere)
    call = jax.jit(many(make_update(config, run.parts, run.data.generate)), donate_argnums=0)
    validate = Validation(run)
    step, saved = int(state.step), time.monotonic()
    outputs = [Metrics(run.workdir / "metrics.jsonl", step)]
    if config.log.tensorboard:
        outputs.append(TensorBoard(run.workdir / "tb", step))
    with _Terminated() as terminated:
        while step < train.steps:
            began = time.perf_counter()
            count = min(train.steps_per_call, train.steps - step)
            ids = batch_ids(config.seed, len(labels), train.batch, step, count)
            ids = jax.device_put(ids, over_batch(mesh, 1))
            state, terms = call(state, images, labels, ids)
            terms = jax.device_get(terms)
            _check_finite(terms, step, run.checkpoints)
            step += count
            row = {"step": step} | {f"train/{k}": float(v.mean()) for k, v in terms.items()}
            rate = count * train.batch / (time.perf_counter() - began)
            best = False
            if step % config.evaluate.every == 0 or step == train.steps:
                row |= validate(state)
                best = _note_best(run.notes, step, row["validation/error_mean"])
            for output in outputs:
                output.write(row)
            run.progress.write(row, rate)
            stop = terminated.is_set or step == train.steps
            if best or stop or time.monotonic() - saved >= train.checkpoint_seconds:
                save(run, step, state)
                saved = time.monotonic()
            if terminated.is_set and step < train.steps:
                raise Stopped(
                    f"SIGTERM: saved step {step} in {run.workdir}; the same command goes on"
                )
    for output in outputs:
        output.close()
    return state


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


class Validation:
    """The error at the policy's mean on the frozen validation set."""

    def __init__(self, run: Run):
        config, split = run.config, run.data.source.validation
        self._images, self._labels = freeze(config, run.data, split, 1), split.labels
        self._key = measure_key(config, 1)
        self._measure = make_measure(config, run.parts, policies(config, run.parts)["mean"])

    def __call__(self, state: TrainState) -> dict[str, float]:
        measured: Measured = self._measure(state.evaluated, self._images, self._labels, self._key)
        return figures("validation", "mean", measured)


def freeze(config: Any, data: Data, split: Images, which: int) -> np.ndarray:
    """A split composed once, under the data's own seed."""
    key = jax.random.fold_in(jax.random.key(config.data.seed), which)
    return frozen(data.compose, key, split.images)


def measure_key(config: Any, which: int) -> Any:
    """The key that random starts and sampled rollouts are measured with."""
    return jax.random.fold_in(jax.random.key(config.data.seed), 100 + which)


def _note_best(notes: dict[str, Any], step: int, error: float) -> bool:
    """Whether this is the best so far; of equals the latest, which has learned longest."""
    better = notes["best"] is None or error <= notes["best"]
    if better:
        notes |= {"best": error, "best_step": step}
    return better


def _check_finite(terms: dict[str, np.ndarray], step: int, checkpoints: Checkpoints) -> None:
    bad = {name: np.flatnonzero(~np.isfinite(values)) for name, values in terms.items()}
    bad = {name: int(where[0]) for name, where in bad.items() if len(where)}
    if not bad:
        return
    first = min(bad.values())
    names = [name for name, at in bad.items() if at == first and name != "loss"] or ["loss"]
    steps = checkpoints.steps()
    last = (
        f"the last good checkpoint is step {steps[-1]}" if steps else "there is no checkpoint yet"
    )
    raise Diverged(
        f"{', '.join(names)} is {terms[names[0]][first]} at step {step + first + 1}; {last} "
        f"in {checkpoints.folder}"
    )


class _Terminated:
    """Notes SIGTERM, so that the loop can save first."""

    is_set = False

    def __enter__(self) -> "_Terminated":
        if _may_handle_signals():
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def _note(self, *_: Any) -> None:
        self.is_set = True

    def __exit__(self, *_: Any) -> None:
        if _may_handle_signals():
            signal.signal(signal.SIGTERM, self._before)


def _may_handle_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def _size(state: TrainState) -> str:
    return f"{sum(jnp.size(leaf) for leaf in jax.tree.leaves(state.variables)):,} parameters"


def _devices() -> str:
    return f"{jax.device_count()} {jax.devices()[0].device_kind} device(s)"
