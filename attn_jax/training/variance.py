"""How much the gradient of a trained model's policy varies, by baseline and number of rollouts."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from attn_jax.data import Images, from_uint8
from attn_jax.losses import score_function
from attn_jax.models import Outputs
from attn_jax.tasks import objective, rollouts
from attn_jax.training.build import BASELINES, build_data
from attn_jax.training.load import Loaded
from attn_jax.training.measure import freeze
from attn_jax.training.names import UserError, as_user_errors
from attn_jax.types import Baseline, Choose, Key, PyTree

ROLLOUTS = (1, 4)


class Varied(NamedTuple):
    """One cell.

    Attributes:
      baseline, rollouts: of the estimate.
      deviations: [N], ||g^_n - mean||^2 of each estimate, all cells with the same keys.
    """

    baseline: str
    rollouts: int
    deviations: np.ndarray

    @property
    def variance(self) -> float:
        """tr Cov(g^)."""
        return float(self.deviations.mean())


def location_variance(loaded: Loaded, *, count: int = 400, batch: int = 64) -> list[Varied]:
    """The variance of the policy term's gradient by the location head's parameters.

    The images are the same in every estimate, the first `batch` of the training split, composed as
    validation is: what varies is where the model looked.

    Args:
      loaded: a run of hard attention.
      count: N, estimates a cell.
      batch: images in an estimate.

    Raises:
      UserError: if the run's data is not there any more, or its choices are not credited.
    """
    if loaded.config.model.name == "seq2seq":
        raise UserError("the variance is measured on images; the run is of texts")
    if loaded.parts.final.credit is not score_function:
        raise UserError(
            "the variance is of a credited choice, gaussian or categorical; the run has "
            f"model.estimator={loaded.config.model.estimator}"
        )
    with as_user_errors():
        data = build_data(loaded.config)
    train = Images(*(part[:batch] for part in data.source.train))
    images, labels = freeze(loaded.config, data, train, 0)
    x, y = from_uint8(images), jnp.asarray(labels)
    cells = [(n, m) for n in BASELINES for m in ROLLOUTS if (n, m) != ("leave_one_out", 1)]
    policy = _policy(loaded, x, y)
    return [_cell(policy, loaded, name, m, count) for name, m in cells]


def _policy(loaded: Loaded, x: Array, y: Array) -> Callable[..., Array]:
    """(baseline, M) -> (variables, key) -> the policy term; a moving average stands at E[R]."""
    parts, ids = loaded.parts, jnp.arange(len(x))
    estimator = parts.estimator(parts.sigma(loaded.step))

    def rolled(variables: PyTree, choose: Choose, key: Key, count: int) -> Outputs:
        model = parts.model(choose, parts.start.choose)
        return rollouts(model, variables, x, key, ids, count, answers=slice(-1, None))

    many = rolled(loaded.state.variables, estimator.choose, jax.random.key(1), 10)
    expected = parts.reward(many.logits[:, :, -1], jnp.broadcast_to(y, (10, len(x)))).mean()

    def policy(baseline: Baseline, m: int, variables: PyTree, key: Key) -> Array:
        greedy = baseline.takes == "greedy"
        _, (figures, _) = objective(
            rolled(variables, estimator.choose, key, m),
            y,
            estimator=estimator,
            baseline=baseline,
            baseline_state=jax.tree.map(lambda _: expected, baseline.init()),
            reward=parts.reward,
            greedy=rolled(variables, estimator.greedy, key, 1) if greedy else None,
        )
        return figures["policy"]

    return policy


def _cell(policy: Callable[..., Array], loaded: Loaded, name: str, m: int, count: int) -> Varied:
    @jax.jit
    def estimate(key: Key) -> Array:
        gradient = jax.grad(partial(policy, BASELINES[name](), m))(loaded.state.variables, key)
        return ravel_pytree(gradient["params"]["unroll"]["step"]["attend"])[0]

    key = jax.random.key(loaded.config.seed)
    drawn = np.stack([np.asarray(estimate(jax.random.fold_in(key, i))) for i in range(count)])
    return Varied(name, m, ((drawn - drawn.mean(0)) ** 2).sum(1))


def ratio(one: Varied, other: Varied, *, resamples: int = 2000) -> tuple[float, float, float]:
    """one's variance over other's, with its 95 % interval by a paired bootstrap: (r, low, high)."""
    rng = np.random.default_rng(0)
    picked = rng.integers(len(one.deviations), size=(resamples, len(one.deviations)))
    ratios = one.deviations[picked].mean(1) / other.deviations[picked].mean(1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return one.variance / other.variance, float(low), float(high)
