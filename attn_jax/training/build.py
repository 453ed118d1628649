"""From a config's names to parts: plain dicts a reader can see.

Nothing below this room sees a config. Whatever does not fit together is refused here, before
anything is written.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from attn_jax import baselines, estimators, ops, tasks
from attn_jax.data import Source, load_source, make_generator
from attn_jax.models import RecurrentClassifier, Seq2Seq
from attn_jax.tasks import Weights
from attn_jax.tasks.classification import Reward
from attn_jax.training.model import MODELS, Shape
from attn_jax.training.names import pick
from attn_jax.training.optimizer import Schedule, make_optimizer, make_schedule
from attn_jax.types import Baseline, Choose, Estimator, Read, check_fit

READS: Mapping[str, Callable[[Any], Read]] = {
    "retina": lambda c: ops.retina(c.glimpse_size, c.scales, c.ratio, unit=c.unit or None),
    "crop": lambda c: ops.crop(c.glimpse_size, unit=c.unit or None),
    # Not native: a run goes on bit for bit, whether or not a library was built meanwhile.
    "affine": lambda c: ops.affine(c.glimpse_size, implementation="xla"),
    "weighted_sum": lambda c: ops.weighted_sum(),
    "mask": lambda c: ops.mask(),
}

# Of a spread that may be traced: sigma of a point, tau of a relaxed choice of items.
ESTIMATORS: Mapping[str, Callable[[Any], Estimator]] = {
    "gaussian": estimators.gaussian,
    "pathwise_gaussian": estimators.pathwise_gaussian,
    "random_point": lambda sigma: estimators.random_point(),
    "fixed_point": lambda sigma: estimators.fixed_point(),
    "categorical": lambda sigma: estimators.categorical(),
    "gumbel_softmax": estimators.gumbel_softmax,
    "straight_through": estimators.straight_through,
    "straight_through_gumbel": estimators.straight_through_gumbel,
    "expectation": lambda sigma: estimators.expectation(),
    "sparsemax": lambda sigma: estimators.sparsemax(),
    "uniform": lambda sigma: estimators.uniform(),
    "identity": lambda sigma: estimators.identity(),
    "fixed_transform": lambda sigma: estimators.fixed_transform(),
}

# Of these a proposal may bring the sigma.
_OF_SIGMA = ("gaussian", "pathwise_gaussian")

# What a policy is held against, by what its read takes.
CONTROLS: Mapping[str, Mapping[str, Estimator]] = {
    "point": {"random": estimators.random_point(), "center": estimators.fixed_point()},
    "weights": {"uniform": estimators.uniform()},
    "theta": {"identity": estimators.fixed_transform()},
}

BASELINES: Mapping[str, Callable[[], Baseline]] = {
    "learned_value": baselines.learned_value,
    "moving_average": baselines.moving_average,
    "leave_one_out": baselines.leave_one_out,
    "self_critical": baselines.self_critical,
    "zero": baselines.zero,
}

REWARDS: Mapping[str, Reward] = {
    "right": tasks.is_right,
    "probability": tasks.probability_right,
    "log_likelihood": tasks.log_likelihood,
}


class Parts(NamedTuple):
    """What a config names.

    Attributes:
      shape: of the data.
      nothing: an input of zeros [1, ...], to make parameters with.
      estimator: sigma -> the estimator that is trained.
      final: the one that training ends with: at its mode it is measured, drawn and asked.
      sampled: of rollouts that are averaged, whose sigma is the evaluation's own.
      start: how the first glimpse is placed.
      read: what is seen at a place.
      controls: by name, what the policy is measured beside.
      model: (choose, start) -> the model with its choices made that way.
      baseline, reward, weights: of the objective.
      sigma, learning_rate: schedules over steps.
      optimizer: optax's transformation.
    """

    shape: Shape
    nothing: Array
    estimator: Callable[[Any], Estimator]
    final: Estimator
    sampled: Estimator
    start: Estimator
    read: Read
    controls: Mapping[str, Estimator]
    model: Callable[[Choose, Choose | None], RecurrentClassifier | Seq2Seq]
    baseline: Baseline
    reward: Reward
    weights: Weights
    sigma: Schedule
    learning_rate: Schedule
    optimizer: optax.GradientTransformation


class Data(NamedTuple):
    """Where examples come from: a source, and what is made of it.

    Attributes:
      source: train, validation and test images.
      generate: (keys, images, ids) -> x, with augmentation, for training.
      compose: the same without, for the frozen validation and test sets.
      shape: of x.
    """

    source: Source
    generate: Callable
    compose: Callable
    shape: Shape


_ID = jax.ShapeDtypeStruct((1,), np.int32)


def build_data(config: Any) -> Data:
    """The data a config names.

    Raises:
      ValueError, FileNotFoundError, ModuleNotFoundError: naming what does not fit or is not there.
    """
    data = config.data
    of_folder = {"size": data.resize, "channels": data.channels, "fraction": data.fraction}
    source = load_source(data.source, data.path, **of_folder if data.source == "folder" else {})
    options = {"size": data.size, "pieces": data.pieces, "piece": data.piece}
    compose = make_generator(data.task, **options)
    generate = make_generator(data.task, **options, shift=data.shift)
    for make in (generate, compose):  # traced, so that sizes that do not fit are refused here
        jax.eval_shape(make, jax.random.split(jax.random.key(0), 1), source.train.images, _ID)
    channels = source.train.images.shape[-1]
    shape = Shape((data.size, data.size, channels), source.num_classes)
    return Data(source, generate, compose, shape)


def build(config: Any, shape: Shape) -> Parts:
    """The parts a config names, checked to fit one another.

    Raises:
      ValueError: an unknown name, a misfit, or a value out of range; one line.
    """
    model, train = config.model, config.train
    _check_numbers(config)
    read = pick(READS, model.read, "model.read")(model)
    estimator = _estimator(model, read)
    try:
        check_fit(estimator(model.sigma), read)
    except ValueError as error:
        raise ValueError(f"{model.estimator} does not fit {model.read}: {error}") from error
    make = pick(MODELS, model.name, "model.name")
    missing = [f"model.{name}" for name in make.fields if name not in model]
    if missing:
        raise ValueError(
            f"model.name={model.name} needs {', '.join(missing)}, as configs/{make.config} has them"
        )
    make.check(model, shape, read)
    _check_positive(config)
    final = model.sigma_end or model.sigma
    return Parts(
        shape=shape,
        nothing=make.nothing(shape),
        estimator=estimator,
        final=estimator(final),
        sampled=estimator(config.evaluate.sigma or final),
        start=_start(model),
        read=read,
        controls=CONTROLS[read.takes],
        model=lambda choose, start: make.make(config, shape, read, choose, start),
        baseline=pick(BASELINES, train.baseline, "train.baseline")(),
        reward=pick(REWARDS, train.reward, "train.reward"),
        weights=Weights(train.policy_weight, train.value_weight, train.entropy_weight),
        sigma=optax.linear_schedule(model.sigma, final, train.steps),
        learning_rate=make_schedule(config.optimizer, train.steps),
        optimizer=make_optimizer(config.optimizer, make_schedule(config.optimizer, train.steps)),
    )


def _estimator(model: Any, read: Read) -> Callable[[Any], Estimator]:
    if model.policy != "learned":
        controls = {"learned": None, **CONTROLS[read.takes]}
        control = pick(controls, model.policy, "model.policy")
        return lambda sigma: control
    make = pick(ESTIMATORS, model.estimator, "model.estimator")
    coin, tau = model.get("coin", 0.0), model.get("temperature", 1.0)
    learned = model.get("learn_sigma", False)
    if learned and model.estimator not in _OF_SIGMA:
        raise ValueError(
            f"model.learn_sigma is for {' and '.join(_OF_SIGMA)}; got {model.estimator}"
        )

    def estimator(spread: Any) -> Estimator:
        one = make(None if learned else spread)
        one = one if tau == 1 else estimators.with_temperature(one, tau)
        return estimators.semi_sampling(one, coin) if coin else one

    return estimator


def _start(model: Any) -> Estimator:
    places = CONTROLS["point"]
    if "start" not in model:  # of a text, which has no first glimpse
        return places["center"]
    return pick(places, model.policy if model.policy in places else model.start, "model.start")


def _check_numbers(config: Any) -> None:
    """Before parts are made of them, whose messages do not know the config's names."""
    model = config.model
    for room in ("model", "train", "optimizer", "evaluate"):
        for name, value in config[room].items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{room}.{name} must be finite; got {value:g}")
    for name in ("sigma", "temperature", "glimpse_size", "glimpse_features", "glimpse_hidden"):
        if name in model and not model[name] > 0:
            raise ValueError(f"model.{name} must be positive; got {model[name]:g}")
    for name in ("features", "encoder"):
        if name in model and not (model[name] and min(model[name]) >= 1):
            raise ValueError(f"model.{name} must be widths of at least 1; got {model[name]}")
    ends = {"model.sigma_end": model.sigma_end, "evaluate.sigma": config.evaluate.sigma}
    for name, value in ends.items():
        if value < 0:
            raise ValueError(f"{name} must be positive, or 0; got {value:g}")


def _check_positive(config: Any) -> None:
    """Counts that make no sense below 1, and cadences that must divide."""
    counts = {
        "model.glimpses": config.model.glimpses,
        "model.unroll": config.model.unroll,
        "train.steps": config.train.steps,
        "train.batch": config.train.batch,
        "train.rollouts": config.train.rollouts,
        "train.steps_per_call": config.train.steps_per_call,
        "evaluate.every": config.evaluate.every,
        "evaluate.rollouts": config.evaluate.rollouts,
        "evaluate.batch": config.evaluate.batch,
    }
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    if config.train.baseline == "leave_one_out" and config.train.rollouts < 2:
        raise ValueError("train.baseline=leave_one_out needs train.rollouts of at least 2; got 1")
    if config.evaluate.every % config.train.steps_per_call:
        raise ValueError(
            f"evaluate.every must be a multiple of train.steps_per_call="
            f"{config.train.steps_per_call}; got {config.evaluate.every}"
        )
    if not 0 <= config.optimizer.average < 1:
        raise ValueError(f"optimizer.average must be in [0, 1); got {config.optimizer.average}")
    devices = jax.device_count()
    if config.train.batch % devices:
        raise ValueError(
            f"train.batch must divide over {devices} devices; got {config.train.batch}"
        )
