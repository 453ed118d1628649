"""Small problems that need attention, and the one way every mechanism is trained on them."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from attn_jax.baselines import learned_value
from attn_jax.models import RecurrentClassifier
from attn_jax.modules import Attend, Classifier, Core, Flat, Step, Unroll, Value
from attn_jax.tasks import Weights, objective, rollouts
from attn_jax.types import Estimator, Read, Selection
from tests.xla import QUICK


class Examples(NamedTuple):
    """Leaves [N, ...], of numpy: a program that makes its data takes far longer to compile."""

    x: np.ndarray
    inputs: np.ndarray  # [N, T, ...]
    labels: np.ndarray


class Problem(NamedTuple):
    sample: Callable[[np.random.Generator, int], Examples]
    classes: int
    steps: int  # T


def recall(shape: tuple[int, ...], keyed: int, classes: int) -> Problem:
    """Every place holds a value, `keyed` of them a key too; a cue names one key.

    The cue comes with the first step, so only the second choice can follow it. Values and keys
    averaged over places say nothing of which value goes with the key.
    """
    size = math.prod(shape)

    def sample(rng: np.random.Generator, n: int) -> Examples:
        values = rng.integers(classes, size=(n, size))
        places = rng.permuted(np.tile(np.arange(size), (n, 1)), axis=1)[:, :keyed]
        keys = np.zeros((n, size, keyed), np.float32)
        keys[np.arange(n)[:, None], places, np.arange(keyed)] = 1
        x = np.concatenate([np.eye(classes, dtype=np.float32)[values], keys], -1)
        cue = rng.integers(keyed, size=n)
        inputs = np.zeros((n, 2, keyed), np.float32)
        inputs[np.arange(n), 0, cue] = 1
        answer = values[np.arange(n), places[np.arange(n), cue]]
        return Examples(x.reshape(n, *shape, -1), inputs, answer.astype(np.int32))

    return Problem(sample, classes, 2)


# Four textures of one mean brightness: a view too coarse to see a pixel cannot tell them apart.
_TEXTURES = np.array(
    [[[1, 1], [0, 0]], [[1, 0], [1, 0]], [[1, 0], [0, 1]], [[0.5, 0.5], [0.5, 0.5]]], np.float32
)


def texture(canvas: int, patch: int, steps: int) -> Problem:
    """A textured patch somewhere on a dark canvas: which texture?"""

    def sample(rng: np.random.Generator, n: int) -> Examples:
        labels = rng.integers(len(_TEXTURES), size=n)
        tiles = np.tile(_TEXTURES, (1, patch // 2, patch // 2))[labels]
        row, column = rng.integers(canvas - patch + 1, size=(2, n, 1, 1))
        offsets = np.arange(patch)
        x = np.zeros((n, canvas, canvas, 1), np.float32)
        where = np.arange(n)[:, None, None], row + offsets[:, None], column + offsets
        x[..., 0][where] = tiles
        return Examples(x, np.zeros((n, steps, 0), np.float32), labels.astype(np.int32))

    return Problem(sample, len(_TEXTURES), steps)


class Recipe(NamedTuple):
    """How long and how fast: the objective is the same for all."""

    updates: int = 500
    batch: int = 64
    rate: float = 5e-3
    count: int = 1  # M
    weights: Weights = Weights()


class Case(NamedTuple):
    """A mechanism, and the control that must do worse on the same problem."""

    problem: Problem
    propose: nn.Module
    estimator: Estimator
    control: Estimator
    read: Read
    recipe: Recipe


def accuracies(case: Case, cell: nn.RNNCellBase, seed: int = 0) -> tuple[float, float]:
    """The accuracies of the mechanism and of its control, trained alike, as fractions.

    Each example is used once, so the last batches, guessed before they are learned from, are
    fresh data. Whether it is the control is an argument: both are compiled as one.
    """
    problem, recipe = case.problem, case.recipe
    examples = problem.sample(np.random.default_rng(seed), recipe.updates * recipe.batch)
    batches = jax.tree.map(
        lambda a: a.reshape(recipe.updates, recipe.batch, *a.shape[1:]), examples
    )
    ids = jnp.arange(recipe.batch)

    def model(estimator: Estimator) -> RecurrentClassifier:
        step = Step(Attend(case.propose, estimator, case.read), Flat(32), Core((cell,)))
        unroll = Unroll(step, problem.steps)
        return RecurrentClassifier(unroll, Classifier(problem.classes), Value())

    def init(key: Any) -> Any:
        keys = jnp.broadcast_to(key, (1, problem.steps))
        x, inputs, _ = jax.tree.map(lambda a: jnp.asarray(a[:1]), examples)
        return model(case.estimator).init(key, x, keys, inputs)

    optimizer = optax.adam(optax.cosine_decay_schedule(recipe.rate, recipe.updates))

    def run(variables: Any, batches: Examples, controlled: bool, key: Any) -> Array:
        def choose(key: Any, proposal: Array) -> Selection:
            branches = case.control.choose, case.estimator.choose
            return jax.lax.cond(controlled, *branches, key, proposal)

        def loss(variables: Any, key: Any, batch: Examples) -> tuple[Array, Any]:
            x, inputs, labels = batch
            either = case.estimator._replace(choose=choose)
            outputs = rollouts(model(either), variables, x, key, ids, recipe.count, inputs)
            options = {"baseline": learned_value(), "weights": recipe.weights}
            return objective(outputs, labels, estimator=case.estimator, **options)

        def update(carry: Any, batch: Examples) -> tuple[Any, Array]:
            step, variables, state = carry
            now = jax.random.fold_in(key, step)
            gradient, (figures, _) = jax.grad(loss, has_aux=True)(variables, now, batch)
            changes, state = optimizer.update(gradient, state)
            return (step + 1, optax.apply_updates(variables, changes), state), figures["error"]

        start = 0, variables, optimizer.init(variables)
        return 1 - jax.lax.scan(update, start, batches)[1][-30:].mean()

    key = jax.random.key(seed)
    variables = _jit(init)(key)
    compiled = _jit(run)
    return tuple(
        float(compiled(variables, batches, controlled, key)) for controlled in (False, True)
    )


# The programs are small and short: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)
