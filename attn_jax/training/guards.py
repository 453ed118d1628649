"""The guard of the loop between two calls: losses that are no numbers."""

import numpy as np

from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import Diverged


def check_finite(terms: dict[str, np.ndarray], step: int, checkpoints: Checkpoints) -> None:
    """Stop at the first of the updates after `step` whose figures, [K] by name, are not finite.

    Raises:
      Diverged: naming the step, the terms and the last good checkpoint.
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
