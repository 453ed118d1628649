"""Variables full of noise, made without running an initialiser."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def filled(init: Callable, *args: Any, scale: float = 0.4, seed: int = 0) -> Any:
    """The variables of `init(key, *args)`, every leaf drawn from N(0, scale^2), biases too."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(init, jax.random.key(0), *args)
    return jax.tree.map(lambda a: jnp.asarray(scale * rng.normal(size=a.shape), a.dtype), shapes)
