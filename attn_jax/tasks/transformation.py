"""Spatial transformers in training: how they fare, and whether they have collapsed."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from attn_jax.ops import transforms
from attn_jax.ops.transforms import Transform

# figure -> (least, most): beyond them a transformer has collapsed, and `symptoms` says so.
COLLAPSED: Mapping[str, tuple[float | None, float | None]] = {
    "train/outside": (None, 0.9),
    "train/contrast": (0.01, None),
    "train/determinant": (0.05, 20.0),
}
_FAR = 1e3  # a mean over a batch stays finite where a homography's determinant is not

_CURES = (
    "lower the localisation network's learning rate (to a tenth), penalise the distance from the "
    "identity, or bound the transform"
)


def transform_figures(
    transform: Transform, size: Sequence[int], x: Array, where: Sequence[Array],
    views: Sequence[Array],
) -> dict[str, Float[Array, ""]]:  # fmt: skip
    """Measure the spatial transformers of a batch; of several, the one that fares worst.

    Args:
      transform: their family.
      size: of what each reads.
      x: the inputs [B, ...].
      where: of each transformer the transforms, leaves [B, ...].
      views: of each what it read, [B, ...].

    Returns:
      outside: the mean fraction of places read that lie outside the image, of the one with most.
      contrast: the variance of what is read, over the input's, of the one with least.
      determinant, scale: means of the one whose area is farthest from the input's.
      distance: root of the mean squared distance from the identity, of the farthest.

    Raises:
      ValueError: without a transformer.
    """
    if not where:
        raise ValueError("transform_figures needs the transforms of one transformer or more")
    of_all = [_of_one(transform, tuple(size), x, *each) for each in zip(where, views, strict=True)]
    each = {name: jnp.stack([one[name] for one in of_all]) for name in of_all[0]}
    tiny = jnp.finfo(jnp.float32).tiny
    worst = jnp.abs(jnp.log(jnp.maximum(jnp.abs(each["determinant"]), tiny))).argmax()
    return {
        "outside": each["outside"].max(),
        "contrast": each["contrast"].min(),
        "determinant": each["determinant"][worst],
        "scale": each["scale"][worst],
        "distance": each["distance"].max(),
    }


def _of_one(
    transform: Transform, size: tuple[int, ...], x: Array, where: Array, view: Array
) -> dict[str, Array]:
    of_each = jax.vmap(lambda one: transforms.figures(transform, one, size))(where)
    known = jax.tree.map(lambda one: jnp.clip(jnp.nan_to_num(one), -_FAR, _FAR), of_each)
    return {
        "outside": known.outside.mean(),
        "contrast": _variance(view) / jnp.maximum(_variance(x), 1e-12),
        "determinant": known.determinant.mean(),
        "scale": known.scale.mean(),
        "distance": jnp.sqrt((known.distance**2).mean()),
    }


def _variance(images: Array) -> Array:
    """The mean variance of an image's pixels."""
    return images.astype(jnp.float32).reshape(images.shape[0], -1).var(-1).mean()


def symptoms(figures: Mapping[str, float]) -> dict[str, str]:
    """Tell whether spatial transformers have collapsed: what happened, and what to change.

    Args:
      figures: of `transform_figures`, as a run logs them, such as "train/outside"; those that are
        missing are not looked at. The thresholds are `COLLAPSED`.

    Returns:
      A line by kind: "outside", "contrast" or "area"; nothing for transformers that are well.

    >>> list(symptoms({"train/outside": 0.95, "train/determinant": 28.0}))
    ['outside', 'area']
    >>> symptoms({"train/outside": 0.2, "train/contrast": 0.8, "train/determinant": 0.6})
    {}
    """
    found = {}
    outside, contrast = figures.get("train/outside"), figures.get("train/contrast")
    area = figures.get("train/determinant")
    if outside is not None and _is_beyond("train/outside", outside):
        found["outside"] = (
            f"a transformer reads {100 * outside:.0f} % of its places outside the image; {_CURES}; "
            "if the background is not 0, pad with its level (padding constant with that fill, or "
            "border)"
        )
    if contrast is not None and _is_beyond("train/contrast", contrast):
        found["contrast"] = (
            f"what a transformer reads is blank: its variance is {100 * contrast:.2g} % of the "
            f"image's; {_CURES}"
        )
    if area is not None and _is_beyond("train/determinant", abs(area)):
        how = "zooms out" if abs(area) > 1 else "has shrunk to a point"
        found["area"] = (
            f"a transformer {how}: it reads {abs(area):.3g} times the image's area; {_CURES}"
        )
    return found


def _is_beyond(figure: str, value: float) -> bool:
    least, most = COLLAPSED[figure]
    return (least is not None and value < least) or (most is not None and value > most)
