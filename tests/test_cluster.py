"""Processes that are joined: how they are found, agree and leave. None is started here."""

import json
import os
import threading
from collections.abc import Callable

import jax
import pytest

from attn_jax import cluster, devices
from attn_jax.errors import UserError
from experiments import cli

Others = Callable[..., None]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    """others("a", "b"): texts of processes 1, 2, ... beside this one, which is process 0."""

    def join(*texts: str) -> None:
        monkeypatch.setattr(jax, "process_count", lambda: 1 + len(texts))
        monkeypatch.setattr(cluster, "exchange", lambda text: [text, *texts])

    return join


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit statuses, as of a process that has joined others."""
    statuses: list[int] = []
    monkeypatch.setattr(cluster, "joined", lambda: True)
    monkeypatch.setattr(os, "_exit", statuses.append)
    return statuses


OURS = {
    "JAX_COORDINATOR_ADDRESS": "a:1",
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "0",
}
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID")
OPEN_MPI = {"OMPI_MCA_orte_hnp_uri": "x", "OMPI_COMM_WORLD_SIZE": "4"}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, False),
        ({"JAX_PLATFORMS": "cpu"}, False),
        (OURS, True),
        ({**OURS, "JAX_NUM_PROCESSES": "1"}, False),
        (dict.fromkeys(SLURM, "2"), True),
        (dict.fromkeys(SLURM, "1"), False),
        ({**dict.fromkeys(SLURM, "1"), **OURS}, True),
        ({**dict.fromkeys(SLURM, "1"), **OPEN_MPI}, True),
        ({**dict.fromkeys(SLURM, "2"), "JAX_NUM_PROCESSES": "1"}, False),
        (OPEN_MPI, True),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "0"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a", "TPU_WORKER_ID": "0"}, False),
    ],
)
def test_a_cluster_is_found_by_its_variables(environment: dict[str, str], found: bool):
    assert cluster.in_cluster(environment) == found


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"JAX_PROCESS_ID": None}, "JAX_NUM_PROCESSES is set, but JAX_PROCESS_ID is not"),
        (
            {"JAX_COORDINATOR_ADDRESS": None},
            "JAX_NUM_PROCESSES is set, but JAX_COORDINATOR_ADDRESS is not",
        ),
        ({"JAX_NUM_PROCESSES": None}, "JAX_PROCESS_ID is set, but JAX_NUM_PROCESSES is not"),
        ({"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES must be a whole number; got 'two'"),
        ({"JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID must be a whole number; got '-1'"),
    ],
)
def test_what_is_missing_or_no_number_is_named_before_anything_waits(
    monkeypatch: pytest.MonkeyPatch, changed: dict, message: str
):
    for name, value in (OURS | changed).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    threads = threading.active_count()
    with pytest.raises(UserError, match=rf"\A{message}\Z"):
        cluster.start()
    assert threading.active_count() == threads


def test_one_process_agrees_with_itself():
    assert cluster.exchange("é") == ["é"]
    cluster.check_agreement({"seed": 0})
    cluster.check_one_folder("different runs", "unfinished")
    assert cluster.of_first({"a": 0.1}) == {"a": 0.1}
    assert devices.is_first() and not cluster.is_lost(ValueError("Gloo"))
    devices.barrier("alone")
    with pytest.raises(UserError, match=r"\Awhy\Z") as caught, cluster.refusing_together():
        raise UserError("why")
    assert not isinstance(caught.value, cluster.Refused)


def test_the_first_process_says_what_was_measured(monkeypatch: pytest.MonkeyPatch):
    figures = {"validation/error": 0.1, "validation/loss": 1 / 3}
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(cluster, "exchange", lambda text: [json.dumps(figures), text])
    assert cluster.of_first({"validation/error": 0.2, "validation/loss": 0.3}) == figures


def test_a_refusal_on_one_process_is_one_on_all(others: Others):
    others("", "there is none at /data")
    message = r"\Aprocess 2: there is none at /data\Z"
    with pytest.raises(cluster.Refused, match=message), cluster.refusing_together():
        pass
    others("", "")
    with cluster.refusing_together():
        pass
    message = r"\Aprocess 0: why\Z"
    with pytest.raises(cluster.Refused, match=message), cluster.refusing_together():
        raise UserError("why")
    with pytest.raises(ZeroDivisionError), cluster.refusing_together():
        raise ZeroDivisionError


def test_processes_that_see_different_folders_are_refused(others: Others):
    others("0")
    message = (
        r"\Athe processes see checkpoints of different steps \(100, 0\): --workdir must be one "
        r"folder that all of them see\Z"
    )
    with pytest.raises(cluster.Refused, match=message):
        cluster.check_one_folder("checkpoints of different steps", "100")
    others("100")
    cluster.check_one_folder("checkpoints of different steps", "100")


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("[...] Gloo AllReduce failed: connection closed by peer", True),
        ("the coordination service has shut down", True),
        ("NCCL operation failed: remote process exited or there was a network error", True),
        ("NCCL operation failed: unhandled cuda error", False),
        ("out of memory", False),
    ],
)
def test_a_lost_process_is_known_by_the_error_of_the_others(left: list[int], text: str, lost: bool):
    error = UserError("could not write a checkpoint")
    error.__cause__ = RuntimeError(text)
    assert cluster.is_lost(error) == lost
    ending = cli._ending(RuntimeError(f"{text}\nand a page of C++"))
    if lost:
        assert ending is not None and ending[0] == 75
        assert ending[1].startswith("another process of this run has ended; the same command")
        assert ending[1].endswith(f"({text})")
    else:
        assert ending is None


def test_leaving_ends_the_process_whatever_the_runtime_says(
    left: list[int], monkeypatch: pytest.MonkeyPatch
):
    def shutdown() -> None:
        raise RuntimeError("barrier")

    monkeypatch.setattr(jax.distributed, "shutdown", shutdown)
    cluster.leave(75, together=False)
    with pytest.raises(RuntimeError, match="barrier"):  # the exit that ends it is not real here
        cluster.leave(143, together=True)
    assert left == [75, 143]


@pytest.mark.parametrize(
    ("error", "status", "together", "said"),
    [
        (ZeroDivisionError("a bug"), 1, False, "Traceback"),
        (UserError("mine"), 2, False, "error: mine"),
        (cluster.Refused("ours"), 2, True, "error: ours"),
    ],
)
def test_how_one_of_several_processes_leaves(
    left: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    error: Exception,
    status: int,
    together: bool,
    said: str,
):
    ways = []
    monkeypatch.setattr(cluster, "leave", lambda status, together: ways.append((status, together)))

    def main() -> None:
        raise error

    with pytest.raises((type(error), SystemExit)):  # reached only because nothing has ended
        cli._guarded(main)
    assert ways == [(status, together)]
    assert capsys.readouterr().err.startswith(said)
