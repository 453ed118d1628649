"""What the loop watches for between two calls: losses that are no numbers, and SIGTERM."""

import signal
import threading
from typing import Any

import numpy as np

from attn_jax.training.checkpoint import Checkpoints
from attn_jax.training.names import Diverged


def check_finite(terms: dict[str, np.ndarray], step: int, checkpoints: Checkpoints) -> None:
    """Stop at the first update whose figures are not finite.

    Args:
      terms: figures by name, [K] for the updates after `step`.
      step: how many updates came before.
      checkpoints: to say which is the last good one.

    Raises:
      Diverged: naming the step, the terms and the checkpoint.
    """
    bad = {name: np.flatnonzero(~np.isfinite(values)) for name, values in terms.items()}
    began = {name: int(where[0]) for name, where in bad.items() if len(where)}
    if not began:
        return
    first = min(began.values())
    # The loss is the sum of the others: it is named only if it alone overflowed.
    names = [name for name, at in began.items() if at == first and name != "loss"] or ["loss"]
    steps = checkpoints.steps()
    last = f"last good checkpoint is step {steps[-1]}" if steps else "there is no checkpoint yet"
    raise Diverged(
        f"{', '.join(names)} is {terms[names[0]][first]} at step {step + first + 1}; {last} "
        f"in {checkpoints.folder}"
    )


class Terminated:
    """Notes SIGTERM, so that the loop can save first; only a main thread can."""

    is_set = False

    def __enter__(self) -> "Terminated":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def _note(self, *_: Any) -> None:
        self.is_set = True

    def __exit__(self, *_: Any) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)
