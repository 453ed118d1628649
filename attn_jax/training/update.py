"""One update, and many of them in one call."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from attn_jax.devices import data_mesh, over_batch
from attn_jax.training.experiment import Learner
from attn_jax.training.optimizer import Schedule, make_optimizer, make_schedule
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState, averaged
from attn_jax.types import PyTree

# (state, resident, fed) -> (the next state, figures by name)
Update = Callable[[TrainState, PyTree, PyTree], tuple[TrainState, dict[str, Array]]]


def _optimizer(
    settings: Settings, learner: Learner
) -> tuple[optax.GradientTransformation, Schedule]:
    rate = make_schedule(settings.optimizer, settings.train.steps)
    return make_optimizer(settings.optimizer, rate, learner.rates), rate


def fresh_state(settings: Settings, learner: Learner) -> TrainState:
    """The state of a run before its first update."""
    optimizer, _ = _optimizer(settings, learner)
    key = jax.random.key(settings.seed)
    params, carried = learner.init(jax.random.fold_in(key, 1))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.key_data(jax.random.fold_in(key, 2)),
        params=params,
        optimizer=optimizer.init(params),
        carried=carried,
        average=jax.tree.map(jnp.copy, params) if settings.optimizer.average else (),
    )


def make_update(settings: Settings, learner: Learner) -> Update:
    """Make the function that does one update."""
    mesh = data_mesh()
    optimizer, rate = _optimizer(settings, learner)

    def update(
        state: TrainState, resident: PyTree, fed: PyTree
    ) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        batch_key, loss_key = jax.random.split(key)
        batch = learner.batch(resident, fed, batch_key)
        # Constrained here; otherwise the partitioner may let every device compute the whole batch.
        batch = jax.lax.with_sharding_constraint(batch, over_batch(mesh))
        (loss, (figures, carried)), gradient = jax.value_and_grad(learner.loss, has_aux=True)(
            state.params, batch, loss_key, state.step, state.carried
        )
        changes, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, changes)
        norm = optax.tree.norm(gradient)
        figures |= {"loss": loss, "gradient_norm": norm, "learning_rate": rate(state.step)}
        average = averaged(state.average, params, settings.optimizer.average)
        new = TrainState(state.step + 1, state.key, params, optimizer_state, carried, average)
        return new, figures

    return update


def many(update: Update) -> Update:
    """K updates in one call: fed has leaves [K, B, ...], figures [K]."""

    def run(state: TrainState, resident: PyTree, fed: PyTree) -> Any:
        return jax.lax.scan(lambda s, one: update(s, resident, one), state, fed)

    return run
