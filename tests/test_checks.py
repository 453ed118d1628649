"""Misuse from code: each message names the argument, what was expected and what came."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import baselines, checks, estimators, laboratory, losses, models, ops, tasks
from attn_jax.modules import (
    AdditiveScores,
    Attend,
    Classifier,
    ConvMap,
    Core,
    Flat,
    Location,
    Step,
    Unroll,
    rollout_keys,
)
from tests.filled import filled
from tests.modules.unrolls import jit

pytestmark = pytest.mark.usefixtures("bad_input")

B, T, C = 4, 3, 5
KEY, IDS, LABELS = jax.random.key(0), jnp.arange(B), jnp.arange(B)
IMAGES = jnp.zeros((B, 12, 12, 1))
GAUSSIAN, RETINA = estimators.gaussian(0.1), ops.retina(4)
RAM = models.ram(
    estimator=GAUSSIAN,
    read=RETINA,
    num_classes=C,
    num_steps=T,
    cells=[nn.SimpleCell(4)],
    glimpse_hidden=4,
    glimpse_features=4,
)


@functools.cache
def variables():
    return filled(lambda key: RAM.init(key, IMAGES, rollout_keys(key, IDS, T)))


def apply(images=IMAGES, keys=None):
    """Trace only: what does not fit is refused before anything is computed."""
    return jax.eval_shape(RAM.apply, variables(), images, keys)


@functools.cache
def outputs():
    return jit(lambda: tasks.rollouts(RAM, variables(), IMAGES, KEY, IDS, 2))()


def objective(labels, given=None):
    options = {"estimator": GAUSSIAN, "baseline": baselines.learned_value()}
    return tasks.objective(given or outputs(), labels, **options)


def sequence_objective(targets):
    options = {"estimator": GAUSSIAN, "baseline": baselines.learned_value()}
    return tasks.sequence_objective(outputs(), targets, **options)


def attend(keys):
    module = Attend(AdditiveScores(4), estimators.categorical(), ops.weighted_sum())
    x, s = jnp.ones((B, 6, 3)), jnp.ones((B, 2))

    def look(module):
        return module(module.prepare(x), s, keys, jnp.asarray(True))

    return jax.eval_shape(lambda: module.init(KEY, method=look))


RAW = jax.random.PRNGKey(0)
MISUSE = {
    "one key": (lambda: apply(keys=KEY), r"keys must be PRNG keys \[4, 3\]; got one PRNG key"),
    "one raw key": (lambda: apply(keys=RAW), r"keys must be PRNG keys \[4, 3\]; got one PRNG key"),
    "a seed": (lambda: apply(keys=0), r"keys must be PRNG keys \[4, 3\], as .* makes one; got int"),
    "keys of three": (
        lambda: apply(keys=rollout_keys(KEY, IDS[:3], T)),
        r"keys must be PRNG keys \[4, 3\]; got PRNG keys \[3, 3\]",
    ),
    "keys of two steps": (
        lambda: apply(keys=rollout_keys(RAW, IDS, 2)),
        r"keys must be PRNG keys \[4, 3\]; got PRNG keys \[4, 2\]",
    ),
    "one step, one key": (lambda: attend(KEY), r"keys must be PRNG keys \[4\]; got one PRNG key"),
    "one step, a seed": (lambda: attend(3), r"keys must be PRNG keys \[4\], as .*; got int"),
    "an estimator's key": (
        lambda: GAUSSIAN.choose(0, jnp.zeros(2)),
        "the key of gaussian must be one PRNG key, as .*; got int",
    ),
    "an estimator's keys": (
        lambda: estimators.categorical().choose(jax.random.split(KEY, 3), jnp.zeros(2)),
        r"the key of categorical must be one PRNG key; got PRNG keys \[3\]",
    ),
    "the laboratory's key": (
        lambda: laboratory.rebar(7, jnp.zeros(2), jnp.sum),
        "key must be one PRNG key, as .*; got int",
    ),
    "keys of a rollout": (
        lambda: rollout_keys(jax.random.split(KEY, 2), IDS, T),
        r"key must be one PRNG key; got PRNG keys \[2\]",
    ),
    "keys as numbers": (
        lambda: rollout_keys(jnp.zeros(2), IDS, T),
        r"key must be one PRNG key, as .*; got float32 \[2\]",
    ),
    "a column of ids": (
        lambda: rollout_keys(KEY, IDS[:, None], T),
        r"ids must be whole numbers \[B\]; got int32 \[4, 1\]",
    ),
    "ids of another batch": (
        lambda: tasks.rollouts(RAM, variables(), IMAGES, KEY, IDS[:3], 2),
        r"ids must be whole numbers \[4\]; got int32 \[3\]",
    ),
    "ids that are no names": (
        lambda: tasks.rollouts(RAM, variables(), IMAGES, KEY, 1.0 * IDS, 2),
        r"ids must be whole numbers \[4\]; got float32 \[4\]",
    ),
    "no rollouts": (
        lambda: tasks.probabilities(RAM, variables(), IMAGES, KEY, IDS, 0),
        "count must be a whole number of at least 1; got 0",
    ),
    "channels first": (
        lambda: apply(jnp.zeros((B, 1, 12, 12))),
        r"x must be \[..., H, W, C\], channels last; got \[4, 1, 12, 12\], which has them first",
    ),
    "channels first, encoded": (
        lambda: ConvMap().init(KEY, jnp.zeros((B, 3, 48, 64))),
        r"x must be .* channels last; got \[4, 3, 48, 64\].*moveaxis\(x, -3, -1\)",
    ),
    "a label too high": (lambda: objective(LABELS + 2), "labels must lie in 0 to 4; got 2 to 5"),
    "a label below 0": (lambda: objective(LABELS - 1), "labels must lie in 0 to 4; got -1 to 2"),
    "one-hot labels": (
        lambda: objective(jax.nn.one_hot(LABELS, C)),
        r"labels must be \[B\] = \[4\], .*; got \[4, 5\]; of one-hot rows take labels.argmax\(-1\)",
    ),
    "a column of labels": (
        lambda: objective(LABELS[:, None]),
        r"labels must be \[B\] = \[4\], a whole number each; got \[4, 1\]",
    ),
    "labels as floats": (
        lambda: objective(1.0 * LABELS),
        r"labels must be \[B\] = \[4\] of whole numbers; got float32",
    ),
    "outputs of one rollout": (
        lambda: objective(LABELS, jax.tree.map(lambda a: a[0], outputs())),
        r"outputs must have leaves \[M, B, T, ...\], .*; got logits \[4, 3, 5\]",
    ),
    "a target for each text": (
        lambda: sequence_objective(LABELS),
        r"targets must be \[B, T\] = \[4, 3\], a whole number each; got \[4\]",
    ),
    "a target too high": (
        lambda: sequence_objective(jnp.full((B, T), C)),
        "targets must lie in 0 to 4; got 5 to 5",
    ),
    "logits without a label each": (
        lambda: losses.cross_entropy(jnp.zeros((B, C)), LABELS[:, None]),
        r"labels must be \[4\], a whole number each; got \[4, 1\]",
    ),
    "a reward of a column": (
        lambda: tasks.is_right(jnp.zeros((B, C)), LABELS[:, None]),
        r"labels must be \[4\], a whole number each; got \[4, 1\]",
    ),
    "a column of targets": (
        lambda: losses.squared_error(jnp.zeros(B), jnp.zeros((B, 1))),
        r"target must have the shape of prediction, \[4\]; got \[4, 1\]",
    ),
    "a value of another shape": (
        lambda: baselines.learned_value().apply((), jnp.zeros((2, B, T)), jnp.zeros((B, T)), None),
        r"value must have the shape of reward, \[2, 4, 3\]; got \[4, 3\]",
    ),
    "spans without weights": (
        lambda: tasks.misaligned(np.zeros((2, T, 4)), np.zeros((2, 2), int)),
        r"where and spans must be \[N, T, L\] and \[N, T, 2\]; got \[2, 3, 4\] and \[2, 2\]",
    ),
    "an estimator not called": (
        lambda: Attend(Location(), estimators.gaussian, RETINA),
        r"estimator must be of type Estimator, such as estimators.gaussian\(0.1\); got gaussian",
    ),
    "a choice for an estimator": (
        lambda: Attend(Location(), GAUSSIAN.choose, RETINA),
        "estimator must be of type Estimator, .*; got .*choose",
    ),
    "an apply for a read": (
        lambda: Attend(Location(), GAUSSIAN, RETINA.apply),
        r"read must be of type Read, such as ops.retina\(8\); got read_of.*",
    ),
    "no steps": (
        lambda: Unroll(Step(None, Flat(), Core(())), 0),
        "num_steps must be a whole number of at least 1; got 0",
    ),
    "half a step": (
        lambda: Unroll(Step(None, Flat(), Core(())), 2.5),
        "num_steps must be a whole number of at least 1; got 2.5",
    ),
    "a sequence elsewhere": (
        lambda: Unroll(Step(None, Flat(), Core(())), 2, x_axis=2),
        "x_axis must be None or 1; got 2",
    ),
    "no classes": (
        lambda: Classifier(0),
        "num_classes must be a whole number of at least 1; got 0",
    ),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_named(name: str):
    wrong, message = MISUSE[name]
    with pytest.raises((ValueError, TypeError), match=rf"\A{message}"):
        wrong()


@pytest.mark.parametrize("key", [KEY, RAW, jax.random.key(0, impl="rbg")], ids=str)
def test_keys_of_every_kind_are_taken(key):
    keys = rollout_keys(key, IDS, T)
    assert apply(keys=keys).logits.shape == (B, T, C)


@pytest.mark.parametrize("shape", [(4, 12, 12, 3), (4, 3, 3, 64), (4, 1, 10, 64), (4, 3, 7, 7)])
def test_images_and_maps_with_their_channels_last_are_taken(shape: tuple):
    checks.check_channels_last("x", shape)


@pytest.mark.parametrize("label", [-1, C])
def test_a_traced_label_outside_the_classes_is_as_if_it_were_not_there(label: int):
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(B, C)), jnp.float32)
    labels = LABELS.at[1].set(label)
    loss, gradient = jit(jax.value_and_grad(lambda x, y: losses.cross_entropy(x, y).sum()))(
        logits, labels
    )
    kept = jnp.array([0, 2, 3])
    expected = losses.cross_entropy(logits[kept], LABELS[kept]).sum()
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert not gradient[1].any() and gradient[kept].all()
    rewards = {name: jit(one)(logits, labels)[1] for name, one in tasks.REWARDS.items()}
    assert rewards == {"right": 0, "probability": 0, "log_likelihood": 0}
