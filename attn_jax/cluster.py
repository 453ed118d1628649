"""Join the processes of a run, compare their configs, and end them.

JAX's own runtime joins them; docs/scaling.md says how they are launched.
"""

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from attn_jax.devices import data_mesh, over_batch, replicated
from attn_jax.errors import UserError, first_line
from attn_jax.fields import differences
from attn_jax.termination import PutOff


def exchange(text: str) -> list[str]:
    """The text of every process, in their order; all of them call it."""
    if jax.process_count() == 1:
        return [text]
    raw = np.frombuffer(text.encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(raw.size)).reshape(-1)
    padded = np.zeros(int(sizes.max(initial=1)), np.uint8)
    padded[: raw.size] = raw
    rows = multihost_utils.process_allgather(padded).reshape(len(sizes), -1)
    return [bytes(row[:size]).decode() for row, size in zip(rows, sizes, strict=True)]


def of_first(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures of the first process, in every process.

    Two devices may round an answer differently; what is decided by a figure is decided once.
    """
    if jax.process_count() == 1:
        return dict(figures)
    # As text: the runtime's own broadcast would round them to 32 bits.
    return json.loads(exchange(json.dumps({name: float(one) for name, one in figures.items()}))[0])


class Refused(UserError):
    """Something the user can put right, raised by every process of a run."""


@contextlib.contextmanager
def refusing_together() -> Iterator[None]:
    """Raise in every process what the user must put right on one of them.

    Raises:
      Refused: naming the process; of one process its own error, as it is.
    """
    if jax.process_count() == 1:
        yield
        return
    mine = None
    try:
        yield
    except UserError as error:
        mine = error
    for i, line in enumerate(exchange(first_line(mine) if mine else "")):
        if line:
            raise Refused(f"process {i}: {line}") from mine


def check_one_folder(what: str, seen: str) -> None:
    """Refuse to go on where processes see different files.

    Args:
      what: they see, such as "checkpoints of different steps".
      seen: by this process, in a word or two.

    Raises:
      Refused: with what each of them sees.
    """
    each = exchange(seen)
    if len({*each}) > 1:
        raise Refused(
            f"the processes see {what} ({', '.join(each)}): --workdir must be one folder that all "
            "of them see"
        )


def check_agreement(config: Mapping[str, Any]) -> None:
    """Refuse to begin where two processes have different configs.

    Raises:
      Refused: naming the fields that differ, with both values.
    """
    first, *others = (json.loads(text) for text in exchange(json.dumps(config)))
    for i, other in enumerate(others, start=1):
        differ = differences(first, other, ("on process 0", f"on process {i}"))
        if differ:
            raise Refused(f"the processes have different configs: {'; '.join(differ)}")


# JAX's own variables, for jax.distributed.initialize, which reads the first of them alone.
_OURS = {
    "coordinator_address": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
# (variables that a launcher sets for each process, the one that says how many there are)
_LAUNCHERS = (
    (("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID"), "SLURM_NTASKS"),
    (("OMPI_MCA_orte_hnp_uri",), "OMPI_COMM_WORLD_SIZE"),
)


def in_cluster(environment: Mapping[str, str]) -> bool:
    """Whether the environment says that this process is one of several.

    JAX's own variables come first, as they do for `start`.

    >>> in_cluster({"SLURM_JOB_ID": "1"}), in_cluster({"OMPI_MCA_orte_hnp_uri": "1"})
    (False, True)
    """
    if "JAX_NUM_PROCESSES" in environment:
        return environment["JAX_NUM_PROCESSES"] != "1"
    if {"JAX_COORDINATOR_ADDRESS", "JAX_PROCESS_ID"} <= environment.keys():
        return True
    if "TPU_WORKER_ID" in environment and "," in environment.get("TPU_WORKER_HOSTNAMES", ""):
        return True
    return any(
        {*needed} <= environment.keys() and environment.get(count) != "1"
        for needed, count in _LAUNCHERS
    )


def _as_given(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read JAX's own variables as arguments; {} where they leave it to a launcher.

    Raises:
      UserError: naming a variable that is missing or is no number.
    """
    found = [name for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID") if name in environment]
    if not found:
        return {}
    given: dict[str, Any] = {}
    for argument, name in _OURS.items():
        if name not in environment:
            raise UserError(f"{found[0]} is set, but {name} is not")
        given[argument] = environment[name]
        if argument != "coordinator_address":
            if not environment[name].isdecimal():
                raise UserError(f"{name} must be a whole number; got {environment[name]!r}")
            given[argument] = int(environment[name])
    return given


def start(join: bool = False, seconds: int = 300) -> None:
    """Join the other processes of a run, if there are any, before anything else asks for devices.

    Args:
      join: whether to join even where the environment names no cluster.
      seconds: how long to wait for the others.

    Raises:
      UserError: if nothing says where the others are, or the coordinator cannot be reached.
    """
    environment = os.environ
    if not join and not in_cluster(environment):
        return
    given = _as_given(environment)
    # The runtime would abort the process, with a page of C++, and later than it was told to.
    late = threading.Timer(seconds, _leave_late, [seconds])
    late.daemon = True
    late.start()
    try:
        jax.distributed.initialize(**given, initialization_timeout=2 * seconds)
        with _quiet_stdout():
            _connect()
    except (ValueError, IndexError, RuntimeError, KeyError) as error:
        raise UserError(
            f"cannot join the other processes: {first_line(error)}; docs/scaling.md says what "
            "a cluster or JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID must tell"
        ) from error
    finally:
        late.cancel()


def _connect() -> None:
    """Meet every process once: the first meeting of all has a limit of 30 s of its own."""
    mesh = data_mesh()
    multihost_utils.sync_global_devices("start")
    one = np.ones(mesh.size, np.float32)
    split = jax.make_array_from_process_local_data(over_batch(mesh), one, one.shape)
    jax.block_until_ready(jax.jit(lambda x: x.sum(), out_shardings=replicated(mesh))(split))


class PreemptionGuard:
    """Puts off SIGTERM, so that the loop can save first.

    Of many processes, JAX's runtime notes the signal, and has all of them stop after the same step.
    """

    _calls = 0

    def __enter__(self) -> "PreemptionGuard":
        self._many = jax.process_count() > 1
        self._alone = None if self._many else PutOff().__enter__()
        return self

    def now(self) -> bool:
        """Whether to stop here; all processes ask equally often."""
        self._calls += 1
        if self._alone is None:  # True exactly once, at the agreed call; no call may be skipped.
            return multihost_utils.reached_preemption_sync_point(self._calls)
        return self._alone.came()

    def __exit__(self, *error: Any) -> None:
        if self._alone is not None:
            self._alone.__exit__(*error)
        elif threading.current_thread() is threading.main_thread():
            # JAX's runtime has taken the signal over; outside of the loop it ends the process.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)


def joined() -> bool:
    """Whether this process is one of several, joined by JAX's runtime."""
    return jax.distributed.is_initialized()


def leave(status: int, together: bool) -> None:
    """End this process at once if it is one of several.

    Python's own exit would wait for the others, which may wait for this one.

    Args:
      status: of the exit.
      together: whether every process leaves now, so that the shutdown barrier can be passed.
    """
    if not joined():
        return
    try:
        sys.stdout.flush()
        if together:
            jax.distributed.shutdown()
    finally:
        os._exit(status)


def is_lost(error: BaseException) -> bool:
    """Whether an error, or what caused it, means that another process has ended."""
    while error.__cause__:
        error = error.__cause__
    text = str(error)
    # NCCL names its own faults too: of memory, of a driver.
    signs = ("Gloo", "coordination service", "heartbeat")
    lost = any(sign in text for sign in signs) or ("NCCL" in text and "remote" in text.lower())
    return joined() and lost


def _leave_late(seconds: int) -> None:
    line = f"error: only some of the processes came within {seconds} s"
    print(line, file=sys.stderr, flush=True)
    os._exit(2)


@contextlib.contextmanager
def _quiet_stdout() -> Iterator[None]:
    """Without the lines that the runtime's C++ prints."""
    sys.stdout.flush()
    before = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)
