"""Optimisers and schedules by name: small tables over optax."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from attn_jax.errors import check_name
from attn_jax.fields import field, section
from attn_jax.types import PyTree

Schedule = Callable[[Any], Any]


# name -> (first value, steps) -> schedule
SCHEDULES: Mapping[str, Callable[[float, int], Schedule]] = {
    "constant": lambda start, steps: optax.constant_schedule(start),
    "linear": lambda start, steps: optax.linear_schedule(start, 0.0, steps),
    "cosine": lambda start, steps: optax.cosine_decay_schedule(start, steps),
}

# name -> (learning rate, section) -> optax's transformation
OPTIMIZERS: Mapping[str, Callable[[Schedule, "Optimizer"], optax.GradientTransformation]] = {
    "adam": lambda rate, section: optax.adam(rate),
    "adamw": lambda rate, section: optax.adamw(rate, weight_decay=section.weight_decay),
    "sgd": lambda rate, section: optax.sgd(rate, momentum=section.momentum),
    "rmsprop": lambda rate, section: optax.rmsprop(rate),
}


@section
class Optimizer:
    """The optimiser and its schedule."""

    name: str = field("optimiser", names=OPTIMIZERS)
    learning_rate: float = field("the highest learning rate", above=0)
    schedule: str = field("from the learning rate down to 0", names=SCHEDULES)
    warmup: int = field("steps of a linear rise from 0", least=0)
    momentum: float = field("of sgd", least=0, below=1)
    weight_decay: float = field("decoupled in adamw, an L2 penalty elsewhere", least=0)
    clip: float = field("global norm that gradients are clipped to; 0: none", least=0)
    average: float = field("decay of the moving average of parameters; 0: none", least=0, below=1)


def make_schedule(optimizer: Optimizer, steps: int) -> Schedule:
    """The learning rate at each step: a linear warm-up, then the named schedule down to 0."""
    warmup = optimizer.warmup
    body = SCHEDULES[optimizer.schedule](optimizer.learning_rate, steps - warmup)
    if not warmup:
        return body
    ramp = optax.linear_schedule(0.0, optimizer.learning_rate, warmup)
    return optax.join_schedules([ramp, body], [warmup])


def scale_by_path(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Multiply the updates of some parameters, so that they learn at a rate of their own.

    It comes after the optimiser: before it, Adam would divide a constant factor out again.

    Args:
      factors: name -> factor. A name is one part of a parameter's path, such as the module's
        "localisation" in params["localisation"]["Dense_0"]["kernel"]. If several are parts of a
        path, all factors act; parameters without any keep their rate.

    Raises:
      ValueError: when it is initialised, for a name that is part of no path.

    >>> params = {"localisation": {"bias": 0.0}, "trunk": {"bias": 0.0}}
    >>> slower = optax.chain(optax.sgd(1.0), scale_by_path({"localisation": 0.1}))
    >>> updates, _ = slower.update(jax.tree.map(lambda p: 1.0, params), slower.init(params))
    >>> updates["localisation"]["bias"], updates["trunk"]["bias"]
    (-0.1, -1.0)
    """

    def init(params: PyTree) -> optax.EmptyState:
        parts = {part for path, _ in jax.tree.leaves_with_path(params) for part in _parts(path)}
        for name in factors:
            check_name("a learning rate's factor", name, sorted(parts))
        return optax.EmptyState()

    def update(updates: PyTree, state: optax.EmptyState, params: PyTree | None = None) -> Any:
        del params

        def scaled(path: tuple, one: Any) -> Any:
            for part in _parts(path):
                one = factors[part] * one if part in factors else one
            return one

        return jax.tree.map_with_path(scaled, updates), state

    return optax.GradientTransformation(init, update)


def _parts(path: tuple) -> list[str]:
    return [str(getattr(key, "key", getattr(key, "name", key))) for key in path]


def make_optimizer(
    optimizer: Optimizer, rate: Schedule, factors: Mapping[str, float] | None = None
) -> optax.GradientTransformation:
    """clip -> (decay) -> optimiser -> the factors of `scale_by_path`, if there are any.

    Decay is decoupled in adamw, an L2 penalty elsewhere.
    """
    parts = []
    if optimizer.clip > 0:
        parts.append(optax.clip_by_global_norm(optimizer.clip))
    if optimizer.weight_decay and optimizer.name != "adamw":
        parts.append(optax.add_decayed_weights(optimizer.weight_decay))
    parts.append(OPTIMIZERS[optimizer.name](rate, optimizer))
    if factors:  # without any, the state of the optimiser is that of earlier runs
        parts.append(scale_by_path(factors))
    return optax.chain(*parts)
