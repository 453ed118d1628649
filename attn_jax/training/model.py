"""From a config to its model: small tables of cores, scores and the models made of them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax import modules, ops
from attn_jax.models import RecurrentClassifier, Seq2Seq, ram, seq2seq, square
from attn_jax.modules import everything
from attn_jax.training.names import pick
from attn_jax.types import Choose, Read

# Of a config, a view of the state, the dtype and the shape of the places.
SCORES: Mapping[str, Callable[[Any, Callable, Any, tuple[int, ...]], nn.Module]] = {
    "additive": lambda c, view, dtype, _: modules.AdditiveScores(c.score_features, view, dtype),
    "scaled_dot": lambda c, view, dtype, _: modules.ScaledDotScores(c.score_features, view, dtype),
    "dot": lambda c, view, dtype, _: modules.DotScores(view),
    "bilinear": lambda c, view, dtype, _: modules.BilinearScores(view, dtype),
    "state": lambda c, view, dtype, places: modules.StateScores(places, view, dtype),
}

CORES: Mapping[str, Callable[..., nn.RNNCellBase]] = {
    "relu": lambda width, dtype: nn.SimpleCell(width, activation_fn=nn.relu, dtype=dtype),
    "tanh": lambda width, dtype: nn.SimpleCell(width, activation_fn=jnp.tanh, dtype=dtype),
    "gru": lambda width, dtype: nn.GRUCell(width, dtype=dtype),
    "lstm": lambda width, dtype: nn.OptimizedLSTMCell(width, dtype=dtype),
}

SQUASHES: Mapping[str, Callable] = {"tanh": jnp.tanh, "clip": lambda mu: jnp.clip(mu, -1, 1)}

DTYPES: Mapping[str, Any] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Shape(NamedTuple):
    """What a model must know of its data: kept with each checkpoint."""

    canvas: tuple[int, ...]  # of one input: H, W, C of an image; length and vocabulary of a text
    num_classes: int  # or tokens


def _ram(
    config: Any, shape: Shape, read: Read, choose: Choose, start: Choose | None
) -> RecurrentClassifier:
    model, dtype = config.model, _dtype(config)
    return ram(
        choose=choose,
        read=read.apply,
        num_classes=shape.num_classes,
        num_glimpses=model.glimpses,
        start=start,
        cells=_cells(config),
        glimpse_hidden=model.glimpse_hidden,
        glimpse_features=model.glimpse_features,
        location_hidden=tuple(model.location_hidden),
        squash=pick(SQUASHES, model.squash, "model.squash"),
        sigma=_sigma(model),
        view=_view(model),
        remat=model.remat,
        unroll=min(model.unroll, model.glimpses),
        dtype=dtype,
    )


def _check_ram(model: Any, shape: Shape, read: Read) -> None:
    if read.takes != "point":
        raise ValueError(
            f"RAM looks at points; model.read must be retina or crop, got {model.read!r}"
        )
    if model.read == "retina":
        size = (model.glimpse_size, model.glimpse_size)
        ops.check_glimpse(shape.canvas, size, model.ratio ** (model.scales - 1))


def _square(
    config: Any, shape: Shape, read: Read, choose: Choose, start: Choose | None
) -> RecurrentClassifier:
    del start  # the first state has seen the mean annotation
    model, dtype = config.model, _dtype(config)
    encode = modules.ConvMap(tuple(model.encoder), dtype, model.coordinates)
    hidden, view = tuple(model.location_hidden), _view(model)
    height, width = map_size(model, shape)
    places = (height * width,) if model.as_items else (height, width)
    proposals = {
        "weights": lambda: pick(SCORES, model.scores, "model.scores")(model, view, dtype, places),
        "point": lambda: modules.Location(
            hidden, pick(SQUASHES, model.squash, "model.squash"), view, dtype, _sigma(model)
        ),
        "theta": lambda: modules.Affine(hidden, model.zoom, view, dtype),
    }
    return square(
        propose=proposals[read.takes](),
        choose=choose,
        read=read.apply,
        encode=modules.Items(encode) if model.as_items else encode,
        mean_axes=(1,) if model.as_items else (1, 2),
        num_classes=shape.num_classes,
        num_steps=model.glimpses,
        cells=_cells(config),
        features=model.glimpse_features,
        remat=model.remat,
        unroll=min(model.unroll, model.glimpses),
        dtype=dtype,
    )


def map_size(model: Any, shape: Shape) -> tuple[int, int]:
    """(H, W) of an encoded map, of which each convolution halves the image."""
    halved = 2 ** len(model.encoder)
    return -(-shape.canvas[0] // halved), -(-shape.canvas[1] // halved)


def _check_dot(model: Any, items: int) -> None:
    if model.scores == "dot" and model.features[-1] != items:
        raise ValueError(
            f"model.scores=dot needs a state as wide as an item, {items}; "
            f"got model.features={tuple(model.features)}"
        )


def _check_square(model: Any, shape: Shape, read: Read) -> None:
    del shape
    _check_dot(model, model.encoder[-1])
    for name in ("score_features", "zoom"):
        if not model[name] > 0:
            raise ValueError(f"model.{name} must be positive; got {model[name]}")
    if model.unit:
        raise ValueError(f"a map has no pixels; model.unit must be 0, got {model.unit:g}")
    if model.read == "retina":
        raise ValueError("model.read must be crop where a map is read, not retina")
    if model.as_items and read.takes != "weights":
        raise ValueError(
            f"items have no place; model.read must be weighted_sum or mask, got {model.read!r}"
        )


def _seq2seq(
    config: Any, shape: Shape, read: Read, choose: Choose, start: Choose | None
) -> Seq2Seq:
    del start  # the first state has seen the mean annotation
    model, dtype = config.model, _dtype(config)
    return seq2seq(
        propose=pick(SCORES, model.scores, "model.scores")(
            model, _view(model), dtype, shape.canvas[:1]
        ),
        choose=choose,
        read=read.apply,
        vocabulary=shape.canvas[1],
        num_tokens=shape.num_classes,
        num_steps=model.glimpses,
        cells=_cells(config),
        embedding=model.embedding,
        encoder_features=model.encoder_features,
        remat=model.remat,
        unroll=min(model.unroll, model.glimpses),
        dtype=dtype,
    )


def _check_seq2seq(model: Any, shape: Shape, read: Read) -> None:
    del shape, read
    _check_dot(model, 2 * model.encoder_features)
    for name in ("score_features", "embedding", "encoder_features"):
        if not model[name] > 0:
            raise ValueError(f"model.{name} must be positive; got {model[name]}")
    if model.read != "weighted_sum":
        raise ValueError(
            f"a text is read item by item; model.read must be weighted_sum, got {model.read!r}"
        )


class Model(NamedTuple):
    """How a model of a config is checked and made.

    Attributes:
      fields: what its config must have beside what all have.
      check: refuses what does not fit.
      make: the model, its choices made as handed over.
      config: of configs/, that has these fields.
      task: what it is trained for, one of `prepare.TASKS`.
      nothing: an input of zeros, [1, ...].
    """

    fields: tuple[str, ...]
    check: Callable[[Any, Shape, Read], None]
    make: Callable[[Any, Shape, Read, Choose, Choose | None], RecurrentClassifier | Seq2Seq]
    config: str = "ram_mnist.py"
    task: str = "classification"
    nothing: Callable[[Shape], Array] = lambda shape: jnp.zeros((1, *shape.canvas))


MODELS: Mapping[str, Model] = {
    "ram": Model((), _check_ram, _ram),
    "square": Model(
        ("as_items", "coordinates", "encoder", "scores", "score_features", "zoom"),
        _check_square,
        _square,
        "taxonomy.py",
    ),
    "seq2seq": Model(
        ("scores", "score_features", "embedding", "encoder_features"),
        _check_seq2seq,
        _seq2seq,
        "seq2seq_dates.py",
        "transduction",
        lambda shape: jnp.zeros((1, shape.canvas[0]), jnp.int32),
    ),
}


def _cells(config: Any) -> tuple[nn.RNNCellBase, ...]:
    cell, dtype = pick(CORES, config.model.core, "model.core"), _dtype(config)
    return tuple(cell(width, dtype) for width in config.model.features)


def _dtype(config: Any) -> Any:
    return pick(DTYPES, config.dtype, "dtype")


def _sigma(model: Any) -> float | None:
    return model.sigma if model.learn_sigma else None


def _view(model: Any) -> Callable:
    return jax.lax.stop_gradient if model.detach else everything
