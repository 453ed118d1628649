"""Every optimiser and schedule of the tables does what its name says."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_jax import fields
from attn_jax.training.optimizer import (
    OPTIMIZERS,
    SCHEDULES,
    Optimizer,
    make_optimizer,
    make_schedule,
    scale_by_path,
)
from attn_jax.training.state import averaged

WEIGHTS = {"w": jnp.array([2.0, -1.0]), "b": jnp.array(0.5)}
GRADIENT = {"w": jnp.array([0.3, 0.4]), "b": jnp.array(0.0)}


def settings(**changed: Any) -> Optimizer:
    values = {"name": "adam", "schedule": "cosine", "learning_rate": 0.1, "warmup": 0, "clip": 0.0}
    values |= {"momentum": 0.0, "weight_decay": 0.0, "average": 0.0}
    return fields.read(Optimizer, values | changed, "optimizer.")


def updated(config: Optimizer, gradients: list, rate: float = 0.1) -> dict:
    """The weights after some updates at a constant rate."""
    optimizer = make_optimizer(config, optax.constant_schedule(rate))
    weights, state = WEIGHTS, optimizer.init(WEIGHTS)
    for gradient in gradients:
        changes, state = optimizer.update(gradient, state, weights)
        weights = optax.apply_updates(weights, changes)
    return weights


def moved(config: Optimizer, gradient: dict = GRADIENT) -> np.ndarray:
    return np.asarray(updated(config, [gradient])["w"] - WEIGHTS["w"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends(name: str):
    change = moved(settings(name=name))
    assert (change < 0).all()  # against a positive gradient


def test_sgd_is_the_gradient_times_the_rate_with_momentum():
    np.testing.assert_allclose(moved(settings(name="sgd")), [-0.03, -0.04], rtol=1e-6)
    config = settings(name="sgd", momentum=0.5)
    twice = np.asarray(updated(config, [GRADIENT, GRADIENT])["w"] - WEIGHTS["w"])
    np.testing.assert_allclose(twice, [-0.075, -0.1], rtol=1e-6)  # 1 + 1.5 gradients


def test_adams_first_step_is_the_sign_times_the_rate():
    np.testing.assert_allclose(moved(settings(name="adam")), [-0.1, -0.1], rtol=1e-5)


NOTHING = {"w": jnp.zeros(2), "b": jnp.array(0.0)}


def test_decay_of_adamw_is_decoupled_from_the_gradient():
    change = moved(settings(name="adamw", weight_decay=0.2), NOTHING)
    np.testing.assert_allclose(change, -0.1 * 0.2 * np.array([2.0, -1.0]), rtol=1e-5)


def test_decay_elsewhere_is_an_l2_penalty_that_the_optimizer_sees():
    change = moved(settings(name="sgd", weight_decay=0.2), NOTHING)
    np.testing.assert_allclose(change, -0.1 * 0.2 * np.array([2.0, -1.0]), rtol=1e-5)
    # Adam divides the penalty by its own size: decoupled decay would give +-0.04 and 0.02.
    change = moved(settings(name="adam", weight_decay=0.2), NOTHING)
    np.testing.assert_allclose(change, [-0.1, 0.1], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_decay_no_gradient_means_no_change(name: str):
    np.testing.assert_array_equal(moved(settings(name=name), NOTHING), [0, 0])


@pytest.mark.parametrize(("clip", "scale"), [(0.0, 1.0), (0.25, 0.5), (5.0, 1.0)])
def test_clip_bounds_the_norm_of_the_whole_gradient(clip: float, scale: float):
    config = settings(name="sgd", clip=clip)  # the gradient's norm is 0.5
    np.testing.assert_allclose(moved(config), scale * np.array([-0.03, -0.04]), rtol=1e-5)


STEPS = np.array([0, 1, 25, 50, 99, 100])
FORMULAS = {
    "constant": lambda t: np.full(t.shape, 0.1),
    "linear": lambda t: 0.1 * (1 - t),
    "cosine": lambda t: 0.05 * (1 + np.cos(math.pi * t)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_follow_their_formulas(name: str):
    schedule = make_schedule(settings(schedule=name), 100)
    values = [float(schedule(step)) for step in STEPS]
    np.testing.assert_allclose(values, FORMULAS[name](STEPS / 100), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_is_a_ramp_before_the_schedule(name: str):
    schedule = make_schedule(settings(schedule=name, warmup=10), 110)
    np.testing.assert_allclose([float(schedule(s)) for s in (0, 5, 9)], [0, 0.05, 0.09], rtol=1e-6)
    values = [float(schedule(10 + step)) for step in STEPS]
    np.testing.assert_allclose(values, FORMULAS[name](STEPS / 100), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": "cosin"}, r"optimizer.schedule must be one of constant, linear, cosine; got"
                                r" 'cosin'; did you mean 'cosine'\?"),
        ({"name": "rmsprob"}, r"of adam, adamw, sgd, rmsprop; got .*; did you mean 'rmsprop'\?"),
        ({"warmup": -1}, "optimizer.warmup must be at least 0; got -1"),
        ({"learning_rate": 0.0}, "optimizer.learning_rate must be positive; got 0"),
    ],
)  # fmt: skip
def test_a_section_refuses_what_makes_no_sense(changed: dict, message: str):
    with pytest.raises(ValueError, match=message):
        settings(**changed)


def test_average_of_weights_is_a_decayed_sum():
    average = WEIGHTS
    for factor in (2.0, 3.0):
        average = averaged(average, {k: factor * v for k, v in WEIGHTS.items()}, 0.9)
    expected = (0.81 + 0.09 * 2 + 0.1 * 3) * np.array([2.0, -1.0])
    np.testing.assert_allclose(average["w"], expected, rtol=1e-6)


def test_without_a_decay_there_is_no_average():
    assert averaged((), WEIGHTS, 0.0) == ()


def test_the_rate_of_a_named_part_is_multiplied_after_adam():
    rate = optax.constant_schedule(0.1)
    optimizer = make_optimizer(settings(name="adam"), rate, {"w": 0.01})
    changes, _ = optimizer.update(
        {"w": GRADIENT["w"], "b": jnp.array(2.0)}, optimizer.init(WEIGHTS)
    )
    np.testing.assert_allclose(changes["w"], [-0.001, -0.001], rtol=1e-4)
    np.testing.assert_allclose(changes["b"], -0.1, rtol=1e-4)


def test_several_factors_act_along_one_path_and_other_paths_are_left():
    params = {"outer": {"inner": jnp.ones(2), "other": jnp.ones(2)}, "rest": jnp.ones(2)}
    scale = scale_by_path({"outer": 0.5, "inner": 0.5})
    scaled, _ = scale.update(params, scale.init(params))
    assert [float(one[0]) for one in jax.tree.leaves(scaled)] == [0.25, 0.5, 1.0]


def test_a_factor_for_no_parameter_is_refused():
    with pytest.raises(ValueError, match="factor must be one of b, w; got 'v'"):
        scale_by_path({"v": 0.1}).init(WEIGHTS)
