"""One update, and many of them in one call."""

from typing import Any, Protocol

import jax
import optax
from jax import Array

from attn_jax.hosts import data_mesh, over_batch
from attn_jax.training.experiment import Learner
from attn_jax.training.optimizer import make_optimizer, make_schedule
from attn_jax.training.settings import Settings
from attn_jax.training.state import TrainState, averaged, init_state
from attn_jax.types import PyTree


class Update(Protocol):
    """One or more updates: a pure function."""

    def __call__(
        self, state: TrainState, resident: PyTree, fed: PyTree
    ) -> tuple[TrainState, dict[str, Array]]:
        """(the next state, figures by name)."""
        ...


def fresh_state(settings: Settings, learner: Learner) -> TrainState:
    """The state of a run before its first update."""
    rate = make_schedule(settings.optimizer, settings.train.steps)
    optimizer = make_optimizer(settings.optimizer, rate)
    return init_state(learner.init, optimizer, settings.seed, settings.optimizer.average)


def make_update(settings: Settings, learner: Learner) -> Update:
    """One update of what a learner learns."""
    mesh = data_mesh()
    rate = make_schedule(settings.optimizer, settings.train.steps)
    optimizer = make_optimizer(settings.optimizer, rate)

    def update(
        state: TrainState, resident: PyTree, fed: PyTree
    ) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        batch_key, loss_key = jax.random.split(key)
        batch = learner.batch(resident, fed, batch_key)
        # Said once, else the partitioner may let every device compute the whole batch.
        batch = jax.lax.with_sharding_constraint(batch, over_batch(mesh))
        gradient, (figures, carried) = jax.grad(learner.loss, has_aux=True)(
            state.params, batch, loss_key, state.step, state.carried
        )
        changes, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, changes)
        figures["gradient_norm"] = optax.tree.norm(gradient)
        figures["learning_rate"] = rate(state.step)
        average = averaged(state.average, params, settings.optimizer.average)
        new = TrainState(state.step + 1, state.key, params, optimizer_state, carried, average)
        return new, figures

    return update


def many(update: Update) -> Update:
    """K updates in one call: fed has leaves [K, B, ...], figures [K]."""

    def run(state: TrainState, resident: PyTree, fed: PyTree) -> Any:
        return jax.lax.scan(lambda s, one: update(s, resident, one), state, fed)

    return run
