"""The pictures of a run: curves, paths of glimpses, an animation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax import viz
from attn_jax.data import Images, from_uint8
from attn_jax.tasks import rollouts
from attn_jax.training.build import Parts
from attn_jax.training.measure import Measured, describe
from attn_jax.training.writers import Row
from attn_jax.types import PyTree

_SHOWN = 8


class Looked(NamedTuple):
    """One rollout of each image at the policy's mean, as numpy arrays.

    Attributes:
      images: [N, H, W, C].
      locations: [N, T, 2] as (x, y) in the image's frame; or another kind of where [N, T, ...].
      glimpses: [N, T, k, g, g, C].
      probabilities: [N, T, classes] after each glimpse.
    """

    images: np.ndarray
    locations: np.ndarray
    glimpses: np.ndarray
    probabilities: np.ndarray


def draw(
    config: Any,
    parts: Parts,
    variables: PyTree,
    test: Images,
    measured: dict[str, Measured],
    rows: list[Row],
) -> dict[str, bytes]:
    """All of them, by file name.

    Args:
      config, parts: of the run.
      variables: of the model that was tested.
      test: composed images, whose first of each class are shown.
      measured: by policy.
      rows: of metrics.jsonl.
    """
    chosen = choose_examples(test.labels)
    labels = test.labels[chosen]
    looked = look(config, parts, variables, test.images[chosen], picture_key(config))
    drawn = {"paths.png": looked_png(config, parts, looked, labels)}
    if config.model.name == "ram":
        drawn["rollout.gif"] = rollout_gif(config, looked, labels)
    return drawn | {
        "steps.png": steps_png(measured),
        "curves.png": viz.to_png(viz.learning_curves(rows)),
    }


def looked_png(config: Any, parts: Parts, looked: Looked, labels: np.ndarray | None) -> bytes:
    """Where the model looked: paths over the image, or what of an encoded one each step read."""
    if config.model.name == "ram":
        return paths_png(config, looked, labels)
    kind, where, patch = on_map(config, parts, looked)
    said = looked.probabilities[:, -1].argmax(-1)
    titles = [f"read {c}" for c in said]
    if labels is not None:
        pairs = zip(titles, said, labels, strict=True)
        titles = [f"{'✓' if c == y else '✗'} true {y}, {title}" for title, c, y in pairs]
    return viz.to_png(viz.attention(looked.images, where, kind=kind, patch=patch, titles=titles))


def on_map(
    config: Any, parts: Parts, looked: Looked
) -> tuple[str, np.ndarray, tuple[float, float]]:
    """What `viz.attention` takes of a rollout on an encoded map: (kind, where, patch)."""
    kind, where = parts.read.takes, looked.locations
    height, width = (
        -(-side // 2 ** len(config.model.encoder)) for side in looked.images.shape[1:3]
    )
    if kind == "weights":
        where = where.reshape(*where.shape[:2], height, width)
    size = config.model.glimpse_size
    return kind, where, (size / height, size / width)


def look(config: Any, parts: Parts, variables: PyTree, images: np.ndarray, key: Any) -> Looked:
    """Where the policy's mean looks in images [N, H, W, C] (uint8, or float in [0, 1])."""
    x = np.asarray(from_uint8(images)) if images.dtype == np.uint8 else images
    model = parts.model(parts.final.greedy, parts.start.choose)
    ids = jnp.arange(len(x))
    outputs = jax.jit(lambda v, x: rollouts(model, v, x, key, ids, 1))(variables, x)
    trace = outputs.trace
    glimpses = np.asarray(trace.glimpse[0])
    if (
        config.model.name == "ram" and glimpses.ndim == 5
    ):  # a crop has one scale, and no axis for it
        glimpses = glimpses[:, :, None]
    locations = np.asarray(trace.selection.where[0])
    if config.model.name == "ram":
        locations = locations * location_scale(config, x.shape)
    return Looked(x, locations, glimpses, np.asarray(jax.nn.softmax(outputs.logits[0])))


def picture_key(config: Any) -> Any:
    """The key of the random starts in pictures."""
    return jax.random.fold_in(jax.random.key(config.data.seed), 200)


def location_scale(config: Any, shape: tuple[int, ...]) -> np.ndarray:
    """From location units to the image's frame, for (x, y)."""
    unit, (height, width) = config.model.unit, shape[1:3]
    return np.array([2 * unit / width, 2 * unit / height]) if unit else np.ones(2)


def patch_sizes(config: Any) -> tuple[float, ...]:
    """Sides of the squares a glimpse covers, finest first, pixels."""
    model = config.model
    scales = model.scales if model.read == "retina" else 1
    return viz.patch_sizes(model.glimpse_size, scales, model.ratio)


def paths_png(config: Any, looked: Looked, labels: np.ndarray | None) -> bytes:
    """Glimpse paths over images, with what each glimpse saw; no verdict without labels."""
    figure = viz.glimpse_paths(
        looked.images,
        looked.locations,
        looked.glimpses,
        labels,
        looked.probabilities[:, -1].argmax(-1),
        sizes=patch_sizes(config),
    )
    return viz.to_png(figure)


def rollout_gif(config: Any, looked: Looked, labels: np.ndarray, index: int = 0) -> bytes:
    """One of the rollouts, glimpse by glimpse."""
    return viz.rollout_gif(
        looked.images[index],
        looked.locations[index],
        looked.glimpses[index],
        sizes=patch_sizes(config),
        label=int(labels[index]),
        probabilities=looked.probabilities[index],
    )


def steps_png(measured: dict[str, Measured]) -> bytes:
    """Error against the number of glimpses, with intervals."""
    series = {}
    for name, one in measured.items():
        each = np.array([one.percent(t) for t in range(len(one.wrong))]) / 100
        series[describe(name)] = tuple(each.T)
    return viz.to_png(viz.error_by_glimpse(series))


def choose_examples(labels: np.ndarray, count: int = _SHOWN) -> np.ndarray:
    """The first image of each class, then the next ones, up to `count`."""
    seen = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    rounds = (one[i] for i in range(len(labels)) for one in seen if i < len(one))
    return np.array([i for i, _ in zip(rounds, range(count), strict=False)])
