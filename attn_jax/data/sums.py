"""Two digits on canvases of their own, to be added: the sum is the label."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Shaped

from attn_jax.data.distortions import rotated_scaled_translated
from attn_jax.types import Key


def summed(
    key: Key, digit: Shaped[Array, "h w C"], others: Shaped[Array, "N h w C"], *, size: int = 42
) -> Float[Array, "{size} {size} D"]:
    """Put a digit and another one, each rotated, scaled and translated, on canvases side by side.

    The other is uniform over all images. The canvases are the first C and the last C channels, D in
    all.

    Args:
      key: of this example.
      digit: uint8, or float in [0, 1].
      others: the images that the other is one of.
      size: rows and columns of a canvas.

    Raises:
      ValueError: as `rotated_scaled_translated` does.

    Reference: Jaderberg et al. 2015, appendix A.2.
    """
    first, second = jax.random.split(key)
    pair = (first, digit), (second, others[_other(key, len(others))])
    return jnp.concatenate([rotated_scaled_translated(*one, size=size) for one in pair], -1)


def sum_of_pair(key: Key, labels: Int[Array, "N"], i: Int[Array, ""]) -> Int[Array, ""]:
    """Add the labels of the two digits that `summed` composes with this key of image i."""
    return labels[i] + labels[_other(key, len(labels))]


def _other(key: Key, count: int) -> Int[Array, ""]:
    return jax.random.randint(jax.random.fold_in(key, 0), (), 0, count)


def classes_of_sums(classes: Sequence[str]) -> tuple[str, ...]:
    """Name the sums of two classes, which are 0, 1, 2 and so on.

    Raises:
      ValueError: for classes of other names.

    >>> classes_of_sums(["0", "1", "2"])
    ('0', '1', '2', '3', '4')
    """
    if list(classes) != [str(i) for i in range(len(classes))]:
        raise ValueError(f"sums need classes named 0, 1, 2, ...; got {', '.join(classes)}")
    return tuple(str(i) for i in range(2 * len(classes) - 1))
