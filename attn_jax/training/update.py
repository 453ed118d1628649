"""One update, and many of them in one call."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from attn_jax.tasks import objective, rollouts
from attn_jax.training.build import Parts
from attn_jax.training.state import TrainState, averaged, data_mesh, fresh_average, over_batch

Figures = dict[str, Array]


def init_state(config: Any, parts: Parts) -> TrainState:
    """The state before the first update."""
    key = jax.random.key(config.seed)
    image = jnp.zeros((1, *parts.shape.canvas))
    choose = jax.random.split(jax.random.fold_in(key, 0), (1, config.model.glimpses))
    model = parts.model(parts.estimator(config.model.sigma).choose, parts.start.choose)
    # Compiled, so that the forward pass, which nothing reads, is not even run.
    variables = jax.jit(model.init)(jax.random.fold_in(key, 1), image, choose)
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


def make_update(config: Any, parts: Parts, generate: Callable) -> Callable:
    """(state, images uint8 [N, ...], labels [N], ids [B]) -> (state, figures)."""

    mesh = data_mesh()

    def update(
        state: TrainState, images: Array, labels: Array, ids: Array
    ) -> tuple[TrainState, Figures]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        data_key, choice_key = jax.random.split(key)
        x, y = generate(example_keys(data_key, ids), images, ids), labels[ids]
        # Said once, else the partitioner may let every device compute the whole batch.
        x, y = jax.lax.with_sharding_constraint((x, y), over_batch(mesh))
        # Built inside the update: sigma is traced, so its schedule never retraces.
        sigma = parts.sigma(state.step)
        estimator = parts.estimator(sigma)
        model = parts.model(estimator.choose, parts.start.choose)

        def loss(variables: Any) -> tuple[Array, tuple[Figures, Any]]:
            last = slice(-1, None)  # the only answer that is graded
            outputs = rollouts(
                model, variables, x, choice_key, ids, config.train.rollouts, answers=last
            )
            greedy = None
            if parts.baseline.takes == "greedy":
                at_mode = parts.model(estimator.greedy, parts.start.choose)
                greedy = rollouts(at_mode, variables, x, choice_key, ids, 1, answers=last)
            return objective(
                outputs,
                y,
                estimator=estimator,
                baseline=parts.baseline,
                baseline_state=state.baseline,
                reward=parts.reward,
                weights=parts.weights,
                greedy=greedy,
            )

        gradient, (figures, baseline) = jax.grad(loss, has_aux=True)(state.variables)
        changes, optimizer = parts.optimizer.update(gradient, state.optimizer, state.variables)
        variables = optax.apply_updates(state.variables, changes)
        figures["gradient_norm"] = optax.tree.norm(gradient)
        figures["learning_rate"] = parts.learning_rate(state.step)
        figures["sigma"] = sigma
        average = averaged(state.average, variables, config.optimizer.average)
        new = TrainState(state.step + 1, state.key, variables, optimizer, baseline, average)
        return new, figures

    return update


def many(update: Callable) -> Callable:
    """(state, images, labels, ids [K, B]) -> (state, figures [K]): K updates in one call."""

    def run(state: TrainState, images: Array, labels: Array, ids: Array) -> Any:
        return jax.lax.scan(lambda s, i: update(s, images, labels, i), state, ids)

    return run
