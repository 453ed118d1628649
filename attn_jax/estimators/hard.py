"""Hard attention by the score function: samples whose log-probability is credited."""

import jax
import jax.numpy as jnp
from jax import Array

from attn_jax.estimators.common import (
    Number,
    gumbel,
    log_prob_of,
    normal_estimator,
    one_hot,
    require_key,
)
from attn_jax.losses import score_function
from attn_jax.ops import categorical_entropy, check_places, masked_softmax
from attn_jax.types import Estimator, Key, Selection


def categorical() -> Estimator:
    """Draw one item l ~ Categorical(softmax(e)), as a one-hot  (Xu et al. 2015, section 4.1).

    Proposals are scores [L] or [H, W]; -inf masks a place. If all are masked, nothing is chosen:
    the weights are zeros. The greedy choice is the argmax.
    """

    def select(scores: Array, index: Array) -> Selection:
        chosen = one_hot(scores, index)
        return Selection(
            chosen,
            masked_softmax(scores),
            log_prob_of(chosen, scores),
            categorical_entropy(scores),
        )

    def choose(key: Key | None, scores: Array) -> Selection:
        check_places(scores)
        noise = gumbel(require_key("categorical", key), scores)  # float32, whatever the scores are
        return select(scores, jnp.argmax(scores + noise))

    def greedy(key: Key | None, scores: Array) -> Selection:
        del key
        check_places(scores)
        return select(scores, jnp.argmax(scores))

    return Estimator(choose, greedy, score_function, "one_hot")


def gaussian(sigma: Number | None = None) -> Estimator:
    """Draw a location l ~ N(mu, sigma^2 I), without a gradient through l.

    Proposals are means mu [2], or (mu [2], sigma [] or [2]). The greedy choice is mu.

    Args:
      sigma: the standard deviation, in units of the location; may be traced, so that a schedule
        never compiles again. None: it is learned, and the proposal is (mu, sigma).

    Raises:
      ValueError: if sigma is a number that is not positive.

    Reference: Mnih et al. 2014, section 3.1.
    """
    return normal_estimator("gaussian", sigma, jax.lax.stop_gradient, score_function)
