"""SIGTERM put off for as long as something can still be saved."""

import os
import signal
import threading
from typing import Any

_LIMIT = 60.0  # seconds, which schedulers give


class PutOff:
    """Notes SIGTERM, on the main thread, rather than obeying it.

    It is obeyed after all if a second one comes, if nobody has asked for it within a minute, or if
    nobody has asked for it at the end of the `with`.
    """

    _came: threading.Timer | None = None
    _asked = False

    def __enter__(self) -> "PutOff":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGTERM, self._note) or signal.SIG_DFL
        return self

    def came(self) -> bool:
        """Whether SIGTERM has come; whoever asks and is told so must end what runs."""
        if self._came is None:
            return False
        self._came.cancel()
        self._asked = True
        return True

    def _note(self, *_: Any) -> None:
        if self._came is not None:
            self._obey()
            return
        self._came = threading.Timer(_LIMIT, os.kill, (os.getpid(), signal.SIGTERM))
        self._came.daemon = True
        self._came.start()

    def _obey(self) -> None:
        self._asked = True
        signal.signal(signal.SIGTERM, self._before)
        signal.raise_signal(signal.SIGTERM)

    def __exit__(self, *_: Any) -> None:
        if not self._main:
            return
        if self._came is not None and not self._asked:
            self._came.cancel()
            self._obey()
        signal.signal(signal.SIGTERM, self._before)
