"""Processes that run together: how they meet, agree, and end.

JAX's own runtime joins them; docs/scaling.md says how they are launched.
"""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from attn_jax.errors import UserError, first_line
from attn_jax.fields import differences
from attn_jax.devices import data_mesh, over_batch, replicated


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


def check_agreement(config: Mapping[str, Any]) -> None:
    """Refuse to begin where two processes have different configs.

    Raises:
      UserError: naming the fields that differ, with both values.
    """
    first, *others = (json.loads(text) for text in exchange(json.dumps(config)))
    for i, other in enumerate(others, start=1):
        differ = differences(first, other, ("on process 0", f"on process {i}"))
        if differ:
            raise UserError(f"the processes have different configs: {'; '.join(differ)}")


# Variables that one process of several is started with, by what starts it.
_CLUSTERS = {
    "JAX's own variables": ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
    "SLURM": ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID"),
    "Open MPI": ("OMPI_MCA_orte_hnp_uri",),
    "a Cloud TPU pod": ("TPU_WORKER_HOSTNAMES", "TPU_WORKER_ID"),
}
_COUNTS = ("JAX_NUM_PROCESSES", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")


def in_cluster(environment: Mapping[str, str]) -> bool:
    """Whether the environment says that this process is one of several.

    >>> in_cluster({"SLURM_JOB_ID": "1"}), in_cluster({"OMPI_MCA_orte_hnp_uri": "1"})
    (False, True)
    """
    if any(environment.get(count) == "1" for count in _COUNTS):
        return False
    hosts = environment.get("TPU_WORKER_HOSTNAMES", "")
    found = [name for name, needed in _CLUSTERS.items() if {*needed} <= environment.keys()]
    return found != [] and not (found == ["a Cloud TPU pod"] and "," not in hosts)


def start(join: bool = False, seconds: int = 300) -> None:
    """Join the other processes of a run, if there are any, before anything else asks for devices.

    Args:
      join: whether to, where the environment does not say so.
      seconds: how long to wait for the others.

    Raises:
      UserError: if nothing says where the others are, or the coordinator cannot be reached.
    """
    environment = os.environ
    if not join and not in_cluster(environment):
        return
    # The runtime would abort the process, with a page of C++, and later than it was told to.
    late = threading.Timer(seconds, _leave_late, [seconds])
    late.daemon = True
    late.start()
    given: dict[str, Any] = {}
    if "JAX_NUM_PROCESSES" in environment:
        given = {
            "coordinator_address": environment.get("JAX_COORDINATOR_ADDRESS"),
            "num_processes": int(environment["JAX_NUM_PROCESSES"]),
            "process_id": int(environment.get("JAX_PROCESS_ID", "0")),
        }
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


def leave(status: int, together: bool) -> None:
    """End this process of several, now; nothing if there is one.

    Python's own way out would wait for the others, which may wait for this one.

    Args:
      status: of the exit.
      together: whether all of them are leaving.
    """
    if not jax.distributed.is_initialized():
        return
    sys.stdout.flush()
    if together:
        jax.distributed.shutdown()
    os._exit(status)


def is_lost(error: BaseException) -> bool:
    """Whether an error, or what caused it, means that another process has ended."""
    while error.__cause__:
        error = error.__cause__
    return jax.distributed.is_initialized() and any(
        sign in str(error) for sign in ("Gloo", "NCCL", "coordination service", "heartbeat")
    )


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
