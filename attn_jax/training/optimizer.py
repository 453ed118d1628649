"""Optimisers and schedules by name: small tables over optax."""

from collections.abc import Callable, Mapping
from typing import Any

import optax

from attn_jax.training.names import pick

Schedule = Callable[[Any], Any]


def _cosine(start: float, end: float, steps: int) -> Schedule:
    return optax.cosine_decay_schedule(start, steps, alpha=end / start if start else 0.0)


SCHEDULES: Mapping[str, Callable[[float, float, int], Schedule]] = {
    "constant": lambda start, end, steps: optax.constant_schedule(start),
    "linear": optax.linear_schedule,
    "cosine": _cosine,
}

OPTIMIZERS: Mapping[str, Callable[[Schedule, Any], optax.GradientTransformation]] = {
    "adam": lambda rate, config: optax.adam(rate),
    "adamw": lambda rate, config: optax.adamw(rate, weight_decay=config.weight_decay),
    "sgd": lambda rate, config: optax.sgd(rate, momentum=config.momentum),
    "rmsprop": lambda rate, config: optax.rmsprop(rate),
}


def make_schedule(config: Any, steps: int) -> Schedule:
    """The learning rate at each step: a linear warm-up, then the named schedule down to 0."""
    if steps <= config.warmup or config.warmup < 0:
        raise ValueError(
            f"optimizer.warmup must be from 0 to below train.steps={steps}; got {config.warmup}"
        )
    if not config.learning_rate > 0:
        raise ValueError(f"optimizer.learning_rate must be positive; got {config.learning_rate}")
    make = pick(SCHEDULES, config.schedule, "optimizer.schedule")
    body = make(config.learning_rate, 0.0, steps - config.warmup)
    if not config.warmup:
        return body
    ramp = optax.linear_schedule(0.0, config.learning_rate, config.warmup)
    return optax.join_schedules([ramp, body], [config.warmup])


def make_optimizer(config: Any, schedule: Schedule) -> optax.GradientTransformation:
    """clip -> (decay) -> optimiser. Decay is decoupled in adamw, an L2 penalty elsewhere."""
    parts = []
    if config.clip > 0:
        parts.append(optax.clip_by_global_norm(config.clip))
    if config.weight_decay and config.name != "adamw":
        parts.append(optax.add_decayed_weights(config.weight_decay))
    parts.append(pick(OPTIMIZERS, config.name, "optimizer.name")(schedule, config))
    return optax.chain(*parts)
