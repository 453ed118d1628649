"""Optimisers and schedules by name: small tables over optax."""

from collections.abc import Callable, Mapping
from typing import Any

import optax

from attn_jax.fields import field, section

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


def make_optimizer(optimizer: Optimizer, rate: Schedule) -> optax.GradientTransformation:
    """clip -> (decay) -> optimiser. Decay is decoupled in adamw, an L2 penalty elsewhere."""
    parts = []
    if optimizer.clip > 0:
        parts.append(optax.clip_by_global_norm(optimizer.clip))
    if optimizer.weight_decay and optimizer.name != "adamw":
        parts.append(optax.add_decayed_weights(optimizer.weight_decay))
    parts.append(OPTIMIZERS[optimizer.name](rate, optimizer))
    return optax.chain(*parts)
