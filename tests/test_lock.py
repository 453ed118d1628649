"""The lock on a run's folder: who is refused, and when it is taken over."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from attn_jax import lock
from attn_jax.errors import UserError
from tests.tiny import ROOT

HOLD = """
import sys
from pathlib import Path
from attn_jax.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen:
    """Another process, which holds the folder until its input ends."""
    line = [sys.executable, "-c", HOLD, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, cwd=ROOT, **pipes)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.fixture(params=["with locks", "without locks"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has locks, and one that has none."""

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    if request.param == "without locks":
        monkeypatch.setattr(lock.fcntl, "flock", refuse)


@pytest.mark.usefixtures("file_system")
def test_the_second_process_is_told_who_holds_it_until_that_has_ended(tmp_path: Path):
    other = holder(tmp_path)
    message = rf"\A\S+ is in use by process {other.pid} on \S+, since [-\d]+ [:\d]+; wait for it"
    with pytest.raises(UserError, match=message), lock.hold(tmp_path):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["lock"]
    other.communicate("")
    with lock.hold(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("file_system")
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path):
    other = holder(tmp_path)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    assert (tmp_path / "lock").exists()
    with lock.hold(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("file_system")
@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": -1, "host": "HOST",'
                         ' "since": ""}', "9" * 5000, "[" * 5000], ids=range(7))  # fmt: skip
def test_a_lock_that_says_nothing_of_use_holds_nobody_up(tmp_path: Path, content: str):
    (tmp_path / "lock").write_text(content.replace("HOST", socket.gethostname()))
    with lock.hold(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


def test_one_process_holds_it_once(tmp_path: Path):
    with lock.hold(tmp_path):
        message = f"in use by process {os.getpid()} on"
        with pytest.raises(UserError, match=message), lock.hold(tmp_path):
            pass
    assert not [*tmp_path.iterdir()]


def test_of_another_host_nobody_can_say_that_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lock, "fcntl", None)  # as where the system has no locks
    said = {"pid": 2**22 + 1, "host": "elsewhere", "since": "yesterday"}
    (tmp_path / "lock").write_text(json.dumps(said))
    with pytest.raises(UserError, match="on elsewhere, since yesterday"), lock.hold(tmp_path):
        pass
    assert json.loads((tmp_path / "lock").read_text()) == said
