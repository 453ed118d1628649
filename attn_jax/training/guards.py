"""Guards of the loop between two calls: losses that are no numbers, and SIGTERM."""

import signal
import threading
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from attn_jax.errors import Diverged
from attn_jax.training.checkpoint import Checkpoints


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
    """Notes SIGTERM, so that the loop can save first.

    One process has a handler of its own, which only a main thread can set. Of many processes, JAX's
    runtime notes the signal, and has all of them stop after the same step.
    """

    _noted = False
    _asked = 0

    def __enter__(self) -> "Terminated":
        self._many = jax.process_count() > 1
        main = threading.current_thread() is threading.main_thread()
        self._own = main and not self._many
        if self._own:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def now(self) -> bool:
        """Whether to stop here; all processes ask equally often."""
        self._asked += 1
        if self._many:  # it answers once, at a number that must not be left out
            return multihost_utils.reached_preemption_sync_point(self._asked)
        return self._noted

    def _note(self, *_: Any) -> None:
        self._noted = True

    def __exit__(self, *_: Any) -> None:
        if self._own:
            signal.signal(signal.SIGTERM, self._before)
