"""How much the gradient of a trained model's policy varies, by baseline and number of rollouts."""

from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from attn_jax.baselines import BASELINES
from attn_jax.data import from_uint8
from attn_jax.errors import UserError, as_user_errors
from attn_jax.losses import score_function
from attn_jax.models import Outputs
from attn_jax.parts.digits import Canvas, first_images, freeze, load_digits
from attn_jax.parts.learner import Wiring
from attn_jax.runs.load import LoadedRun
from attn_jax.systems import ram, square
from attn_jax.tasks import REWARDS, objective, rollouts
from attn_jax.types import Baseline, Estimator, Key, PyTree

ROLLOUTS = (1, 4)


class GradientVariance(NamedTuple):
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


def location_variance(
    loaded: LoadedRun, *, count: int = 400, batch: int = 64
) -> list[GradientVariance]:
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
    wire = _WIRE.get(loaded.settings.system)
    if wire is None:
        systems = " and ".join(_WIRE)
        raise UserError(
            f"the variance is measured of {systems}; the run is of {loaded.settings.system}"
        )
    wiring = wire(loaded.settings, Canvas.of(loaded.facts))
    if wiring.attention.final.credit is not score_function:
        raise UserError(
            "the variance is of a credited choice, gaussian or categorical; the run has "
            f"mechanism.estimator={loaded.settings.mechanism.estimator}"
        )
    with as_user_errors():
        data = load_digits(loaded.settings.data)
        train = first_images(data, batch)
    images, labels = freeze(data, loaded.settings.data.seed, train, 0)
    x, y = from_uint8(images), jnp.asarray(labels)
    cells = [(n, m) for n in BASELINES for m in ROLLOUTS if (n, m) != ("leave_one_out", 1)]
    policy = _policy(loaded, wiring, x, y)
    return [_cell(policy, loaded, name, m, count) for name, m in cells]


# system -> (sections, canvas) -> wiring
_WIRE = {"ram": ram.wire, "square": square.wire}


@runtime_checkable
class PolicyTerm(Protocol):
    """The policy term of the loss, of a baseline and M rollouts."""

    def __call__(self, baseline: Baseline, m: int, params: PyTree, key: Key) -> Array:
        """The term, a scalar."""
        ...


def _policy(loaded: LoadedRun, wiring: Wiring, x: Array, y: Array) -> PolicyTerm:
    """The policy term on a batch; a moving average stands at E[R]."""
    ids, reward = jnp.arange(len(x)), REWARDS[loaded.settings.train.reward]
    estimator, _ = wiring.attention.at(loaded.step)

    def rolled(params: PyTree, estimator: Estimator, key: Key, count: int) -> Outputs:
        model, last = wiring.model(estimator, wiring.start), slice(-1, None)
        return rollouts(model, {"params": params}, x, key, ids, count, answers=last)

    many = rolled(loaded.state.params, estimator, jax.random.key(1), 10)
    expected = reward(many.logits[:, :, -1], jnp.broadcast_to(y, (10, len(x)))).mean()

    def policy(baseline: Baseline, m: int, params: PyTree, key: Key) -> Array:
        greedy = baseline.takes == "greedy"
        _, (figures, _) = objective(
            rolled(params, estimator, key, m),
            y,
            estimator=estimator,
            baseline=baseline,
            baseline_state=jax.tree.map(lambda _: expected, baseline.init()),
            reward=reward,
            greedy=rolled(params, estimator.at_mode(), key, 1) if greedy else None,
        )
        return figures["policy"]

    return policy


def _cell(policy: PolicyTerm, loaded: LoadedRun, name: str, m: int, count: int) -> GradientVariance:
    @jax.jit
    def estimate(key: Key) -> Array:
        gradient = jax.grad(partial(policy, BASELINES[name](), m))(loaded.state.params, key)
        return ravel_pytree(gradient["unroll"]["step"]["attend"])[0]

    key = jax.random.key(loaded.settings.seed)
    drawn = np.stack([np.asarray(estimate(jax.random.fold_in(key, i))) for i in range(count)])
    return GradientVariance(name, m, ((drawn - drawn.mean(0)) ** 2).sum(1))


def ratio(
    one: GradientVariance, other: GradientVariance, *, resamples: int = 2000
) -> tuple[float, float, float]:
    """one's variance over other's, with its 95 % interval by a paired bootstrap: (r, low, high)."""
    rng = np.random.default_rng(0)
    picked = rng.integers(len(one.deviations), size=(resamples, len(one.deviations)))
    ratios = one.deviations[picked].mean(1) / other.deviations[picked].mean(1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return one.variance / other.variance, float(low), float(high)
