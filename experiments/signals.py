"""SIGTERM and SIGINT end a command at once, wherever it is: one line on stderr, and the status.

Python calls a handler on the main thread alone, between two of its own instructions: never while
that thread compiles. An exception raised by the handler could land where it is taken for another.
So the signal's number also goes through a pipe to a thread, and either of them ends the process
without an exception. Files are written beside their place: none is left half written.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from typing import Any, NoReturn

AGAIN = "the same command begins again, training from its last checkpoint"
PARENT = "ATTN_JAX_PARENT"

# signal -> (exit status, line)
_ENDINGS = {
    signal.SIGTERM: (143, f"SIGTERM; {AGAIN}"),
    signal.SIGINT: (130, f"interrupted; {AGAIN}"),
}
_once = threading.Lock()  # of the last line, and of the exit


def watch() -> None:
    """Watch for signals, and for the end of the command that started this one.

    Called before the long imports; again, it does nothing. An ignored signal stays ignored.
    """
    if _handle in map(signal.getsignal, _ENDINGS):
        return
    numbers, written = os.pipe()
    os.set_blocking(written, False)
    threading.Thread(target=_listen, args=[numbers], daemon=True).start()
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for one in _ENDINGS:
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, _handle)
    if parent := os.environ.pop(PARENT, None):
        threading.Thread(target=_follow, args=[int(parent)], daemon=True).start()


def _handle(number: int, *_: Any) -> None:
    _end(*_ENDINGS[signal.Signals(number)])


def _listen(numbers: int) -> None:
    seen = set[int]()
    while True:
        for number in os.read(numbers, 64):
            # Another handler puts a signal off, but not its second.
            if number in _ENDINGS and (number in seen or signal.getsignal(number) is _handle):
                status, line = _ENDINGS[signal.Signals(number)]
                _end(status, line)
                time.sleep(1)  # the main thread is at it, unless it cannot write
                os._exit(status)
            seen.add(number)


def _follow(parent: int) -> None:
    """End when the other end of a pipe is closed: by its owner, or because that was killed."""
    try:
        os.set_inheritable(parent, False)
        os.read(parent, 1)
    except OSError:  # no such pipe: what passed the variable on did not pass the file on
        return
    _end(143, f"the command that started this run has ended; {AGAIN}")


def _end(status: int, line: str) -> None:
    """End the process, unless another thread is at it."""
    if not _once.acquire(blocking=False):
        return
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [2], [], 0.5)[1]:  # nobody may be reading
            os.write(2, f"stopped: {line}\n".encode())
    os._exit(status)


def leave(code: str | int | None) -> NoReturn:
    """End a command that is done, as `sys.exit(code)` does, but safe from a signal meanwhile."""
    status = code if isinstance(code, int) else 0 if code is None else 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # as Python's own exit does, without its words
        status = status or 120
    _once.acquire()
    os._exit(status)
