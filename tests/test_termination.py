"""SIGTERM that is put off, and when it is obeyed after all."""

import signal
import threading
from collections.abc import Iterator

import pytest

from attn_jax import termination
from attn_jax.termination import PutOff


@pytest.fixture
def obeyed() -> Iterator[list[int]]:
    """How often the handler of before was called."""
    calls: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: calls.append(number))
    yield calls
    signal.signal(signal.SIGTERM, before)


def test_it_is_noted_and_whoever_asks_is_told_so(obeyed: list[int]):
    with PutOff() as sigterm:
        assert not sigterm.came()
        signal.raise_signal(signal.SIGTERM)
        assert sigterm.came() and sigterm.came()
    assert obeyed == []
    signal.raise_signal(signal.SIGTERM)
    assert obeyed == [signal.SIGTERM]


def test_a_second_one_is_obeyed(obeyed: list[int]):
    with PutOff() as sigterm:
        signal.raise_signal(signal.SIGTERM)
        assert obeyed == []
        signal.raise_signal(signal.SIGTERM)
        assert obeyed == [signal.SIGTERM] and sigterm.came()


def test_one_that_nobody_asked_for_is_obeyed_at_the_end(obeyed: list[int]):
    with PutOff():
        signal.raise_signal(signal.SIGTERM)
        assert obeyed == []
    assert obeyed == [signal.SIGTERM]


def test_one_that_nobody_asks_for_in_time_is_obeyed(
    obeyed: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(termination, "_LIMIT", 0.05)
    with PutOff():
        signal.raise_signal(signal.SIGTERM)
        waiting = threading.Event()
        while not obeyed:
            waiting.wait(0.01)
    assert obeyed == [signal.SIGTERM]


def test_a_thread_leaves_the_signal_alone(obeyed: list[int]):
    before, seen = signal.getsignal(signal.SIGTERM), []

    def run() -> None:
        with PutOff() as sigterm:
            seen.append((signal.getsignal(signal.SIGTERM), sigterm.came()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
