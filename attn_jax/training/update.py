"""One update, and many of them in one call."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from attn_jax.models import Outputs
from attn_jax.tasks import rollouts
from attn_jax.training.build import Parts
from attn_jax.training.experiment import Update
from attn_jax.training.state import TrainState, averaged, data_mesh, fresh_average, over_batch
from attn_jax.types import Choose, Estimator, PyTree

# (examples, ids [B], key) -> batch, leaves [B, ...]
Compose = Callable[[PyTree, Array, Any], PyTree]
# (variables, batch, ids, key, estimator, baseline state) -> loss, (figures, baseline state)
Loss = Callable[..., tuple[Array, tuple[dict[str, Array], PyTree]]]


def init_state(config: Any, parts: Parts) -> TrainState:
    """The state before the first update."""
    key = jax.random.key(config.seed)
    choose = jax.random.split(jax.random.fold_in(key, 0), (1, config.model.glimpses))
    model = parts.model(parts.estimator(config.model.sigma).choose, parts.start.choose)
    # Compiled, so that the forward pass, which nothing reads, is not even run.
    variables = jax.jit(model.init)(jax.random.fold_in(key, 1), parts.nothing, choose)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.key_data(jax.random.fold_in(key, 2)),
        variables=variables,
        optimizer=parts.optimizer.init(variables),
        baseline=parts.baseline.init(),
        average=fresh_average(variables, config.optimizer.average),
    )


def example_keys(key: Any, ids: Array) -> Any:
    """One key an example, folded from its id."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(ids)


class Asked(NamedTuple):
    """What of a batch a model is asked, and what it should say.

    Attributes:
      x: the inputs [B, ...].
      targets: as the objective takes them.
      inputs: [B, T, ...], joined in one a step; None if there are none.
      answers: the steps that are graded.
    """

    x: Array
    targets: Array
    inputs: Array | None = None
    answers: slice = slice(None)


def make_loss(
    config: Any, parts: Parts, objective: Callable, ask: Callable[[PyTree], Asked]
) -> Loss:
    """An objective of `tasks` on the rollouts of a batch, greedy ones where the baseline asks."""

    def loss(
        variables: PyTree,
        batch: PyTree,
        ids: Array,
        key: Any,
        estimator: Estimator,
        baseline_state: PyTree,
    ) -> tuple[Array, tuple[dict[str, Array], PyTree]]:
        asked = ask(batch)

        def rolled(choose: Choose, count: int) -> Outputs:
            model = parts.model(choose, parts.start.choose)
            return rollouts(model, variables, asked.x, key, ids, count, asked.inputs, asked.answers)

        return objective(
            rolled(estimator.choose, config.train.rollouts),
            asked.targets,
            estimator=estimator,
            baseline=parts.baseline,
            baseline_state=baseline_state,
            reward=parts.reward,
            weights=parts.weights,
            greedy=rolled(estimator.greedy, 1) if parts.baseline.takes == "greedy" else None,
        )

    return loss


def make_update(config: Any, parts: Parts, compose: Compose, loss: Loss) -> Update:
    """(state, examples, ids [B]) -> (state, figures)."""
    mesh = data_mesh()

    def update(
        state: TrainState, examples: PyTree, ids: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        data_key, choice_key = jax.random.split(key)
        batch = compose(examples, ids, data_key)
        # Said once, else the partitioner may let every device compute the whole batch.
        batch = jax.lax.with_sharding_constraint(batch, over_batch(mesh))
        # Built inside the update: sigma is traced, so its schedule never retraces.
        sigma = parts.sigma(state.step)
        gradient, (figures, baseline) = jax.grad(loss, has_aux=True)(
            state.variables, batch, ids, choice_key, parts.estimator(sigma), state.baseline
        )
        changes, optimizer = parts.optimizer.update(gradient, state.optimizer, state.variables)
        variables = optax.apply_updates(state.variables, changes)
        figures["gradient_norm"] = optax.tree.norm(gradient)
        figures["learning_rate"] = parts.learning_rate(state.step)
        figures["sigma"] = sigma
        average = averaged(state.average, variables, config.optimizer.average)
        new = TrainState(state.step + 1, state.key, variables, optimizer, baseline, average)
        return new, figures

    return update


def many(update: Update) -> Callable:
    """(state, examples, ids [K, B]) -> (state, figures [K]): K updates in one call."""

    def run(state: TrainState, examples: PyTree, ids: Array) -> Any:
        return jax.lax.scan(lambda s, i: update(s, examples, i), state, ids)

    return run
