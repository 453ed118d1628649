"""Images in classes, as the loop's experiment."""

from collections.abc import Callable
from typing import Any

from jax import Array

from attn_jax.data import Images
from attn_jax.tasks import objective
from attn_jax.training import pictures
from attn_jax.training.build import Parts, build, build_data
from attn_jax.training.experiment import Conclusion, Experiment, Figures
from attn_jax.training.measure import (
    SPLITS,
    Measured,
    figures,
    freeze,
    make_measure,
    make_validate,
    measure_key,
    policies,
)
from attn_jax.training.report import assemble, lines
from attn_jax.training.state import TrainState
from attn_jax.training.update import Asked, example_keys, init_state, make_loss, make_update
from attn_jax.training.writers import Row


def prepare(config: Any) -> Experiment:
    """The experiment a config names.

    Raises:
      ValueError, FileNotFoundError, ModuleNotFoundError: naming what does not fit or is not there.
    """
    data = build_data(config)
    parts = build(config, data.shape)

    def measure(state: TrainState, split: str) -> Figures:
        composed = freeze(config, data, getattr(data.source, split), SPLITS[split])
        return in_figures(measure_all(config, parts, state, composed, split), split)

    def conclude(state: TrainState, rows: list[Row]) -> Conclusion:
        composed = freeze(config, data, data.source.test, SPLITS["test"])
        measured = measure_all(config, parts, state, composed)
        drawn = pictures.draw(config, parts, state.evaluated, composed, measured, rows)
        return Conclusion(
            in_figures(measured, "test"),
            drawn,
            lambda results: assemble(config, measured, drawn, results),
        )

    return Experiment(
        data=data.source.description,
        notes=data.shape._asdict(),
        protocol=protocol(config),
        examples=data.source.train,
        init=lambda: init_state(config, parts),
        update=make_update(
            config, parts, composer(data.generate), make_loss(config, parts, objective, last_answer)
        ),
        validation=lambda: make_validate(config, data, parts),
        measure=measure,
        conclude=conclude,
    )


def composer(generate: Callable) -> Callable[[Images, Array, Any], tuple[Array, Array]]:
    """(examples, ids [B], key) -> (x [B, ...], labels [B])."""

    def compose(examples: Images, ids: Array, key: Any) -> tuple[Array, Array]:
        return generate(example_keys(key, ids), examples.images, ids), examples.labels[ids]

    return compose


def last_answer(batch: tuple[Array, Array]) -> Asked:
    """The class, after the last glimpse: the only answer that is graded."""
    return Asked(*batch, answers=slice(-1, None))


def measure_all(
    config: Any, parts: Parts, state: TrainState, split: Images, name: str = "test"
) -> dict[str, Measured]:
    """Every policy on one split: the mean, the average of M, and the controls."""
    key = measure_key(config, SPLITS[name])
    return {
        policy: make_measure(config, parts, one)(state.evaluated, *split, key)
        for policy, one in policies(config, parts).items()
    }


def in_figures(measured: dict[str, Measured], split: str) -> Figures:
    """Lines and flat figures of what was measured by policy."""
    flat: dict[str, float] = {}
    for name, one in measured.items():
        flat |= figures(split, name, one)
    return Figures(lines(measured), flat, next(iter(measured.values())).total)


def protocol(config: Any) -> str:
    """How the figures were taken, in one line."""
    data, model = config.data, config.model
    clutter = (
        f" with {data.pieces} pieces of {data.piece}x{data.piece}"
        if data.task == "cluttered"
        else ""
    )
    looks = (
        f"{model.glimpses} glimpses of {model.glimpse_size}x{model.glimpse_size}, "
        f"{model.scales} scale(s)"
        if model.name == "ram"
        else f"{model.glimpses} steps of {model.estimator} and {model.read} on an encoded map"
    )
    return (
        f"{data.task} {data.size}x{data.size}{clutter}; {looks}; best checkpoint by "
        f"validation error at the mean; test read once; 95 % Wilson intervals"
    )
