"""Co-localisation: find what images of one class have in common (Jaderberg et al. 2015, A.1)."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.data import Images, from_uint8
from attn_jax.parts.digits import (
    Canvas,
    feed_digits,
    load_digits,
    measure_key,
    picture_on_canvas,
    resident,
)
from attn_jax.parts.history import SHOWN, Watched, transform_history
from attn_jax.parts.learner import apply_to, params_alone
from attn_jax.records import Row
from attn_jax.systems.colocalisation import page
from attn_jax.systems.colocalisation.images import Resident, Searched, compose_searched
from attn_jax.systems.colocalisation.learning import loss_at, make_learner, search_loss
from attn_jax.systems.colocalisation.measuring import Found, figures_of, make_find, with_losses
from attn_jax.systems.colocalisation.network import Network, wire
from attn_jax.systems.colocalisation.sections import ColocalisationSections
from attn_jax.training.experiment import (
    Best,
    Conclusion,
    Experiment,
    Figures,
    History,
    Model,
    System,
)
from attn_jax.training.state import TrainState
from attn_jax.types import PyTree


def prepare(settings: ColocalisationSections) -> Experiment:
    """The experiment: images of one class to be searched, and digits for the encoder."""
    _check(settings)
    data = load_digits(settings.data)
    network = wire(settings, data.canvas)
    searched = compose_searched(settings, data, "test")
    digits = resident(data)
    assert isinstance(digits, Images)  # `_check` has refused a stream
    on_device = Resident(digits, jnp.asarray(searched.images))
    learner = make_learner(settings, network)
    # Traced, so that sizes that do not fit are refused here.
    jax.eval_shape(learner.batch, on_device, jnp.zeros(2, int), jax.random.key(0))
    find = make_find(network, settings.evaluate.batch)
    hinge, losses = _make_hinge(settings, network, searched), _make_losses(settings, network)

    @cache
    def images_of(split: str) -> Searched:
        return searched if split == "test" else compose_searched(settings, data, split)

    def validate(state: TrainState) -> Row:
        # By the images alone: where their objects are is not known to whom searches for them.
        return {"validation/hinge": hinge(state.evaluated)}

    def found_by(state: TrainState, split: str) -> Found:
        return find(state.evaluated, images_of(split).images)

    def measure(state: TrainState, split: str) -> Figures:
        one = images_of(split)
        found = figures_of(network, split, found_by(state, split), one)
        return with_losses(found, split, *losses(state.evaluated, one))

    def conclude(state: TrainState) -> Conclusion:
        return page.conclusion(
            settings, data.canvas, searched, found_by(state, "test"), measure(state, "test"),
            draw=settings.log.pictures,
        )  # fmt: skip

    return Experiment(
        data=f"{data.source.description}; {page.describe_images(settings, data.canvas)}",
        protocol=page.protocol(settings, data.canvas),
        facts=data.canvas.facts,
        learner=learner,
        resident=on_device,
        feed=feed_digits(data, settings.seed, settings.train.batch),
        validate=validate,
        best=Best("validation/hinge"),
        shown=("train/hinge", "train/error_encoder", "validation/hinge"),
        measure=measure,
        conclude=conclude,
        history=_history(network, searched),
    )


def _check(settings: ColocalisationSections) -> None:
    data = settings.data
    if data.task != "colocalised":
        raise ValueError(f"data.task must be colocalised, whose boxes are known; got {data.task}")
    if None in (data.size, data.pieces, data.piece):
        raise ValueError("data.size, data.pieces and data.piece must be given; got None")
    if data.stream:
        raise ValueError("data.stream must be False: the encoder's digits stay on the device")
    if settings.train.batch < 2:
        raise ValueError("train.batch must be at least 2: images are compared; got 1")
    if settings.evaluate.batch < 2:
        raise ValueError("evaluate.batch must be at least 2: images are compared; got 1")


def _history(network: Network, searched: Searched) -> History:
    """Where some of the searched images are read over training."""

    @jax.jit
    def where(params: PyTree, x: Array) -> Array:
        return network.module.apply({"params": params}, x).where[:, None]

    shown = Watched(searched.images[:SHOWN])
    return transform_history(lambda: shown, (1, *network.first.shape), where, network.reads)


def _make_hinge(
    settings: ColocalisationSections, network: Network, searched: Searched
) -> Callable[[PyTree], float]:
    """(params) -> the loss of the searched images, with random parts that stay."""
    key, batch = measure_key(settings.data.seed, 2), settings.evaluate.batch
    images = searched.images[:batch]

    @jax.jit
    def hinge(params: PyTree, images: Array) -> Array:
        return search_loss(network, settings.mechanism.margin, params, from_uint8(images), key)

    return lambda params: float(hinge(params, images))


def _make_losses(
    settings: ColocalisationSections, network: Network
) -> Callable[[PyTree, Searched], tuple[float, float]]:
    """(params, images) -> the loss where objects were looked for, and that where they are."""
    key, batch = measure_key(settings.data.seed, 3), settings.evaluate.batch

    @jax.jit
    def both(params: PyTree, images: Array, boxes: Array) -> tuple[Array, Array]:
        x, margin = from_uint8(images), settings.mechanism.margin
        where = network.centred(boxes)
        looked = search_loss(network, margin, params, x, key)
        return looked, loss_at(network, margin, params, x, where, key)

    def losses(params: PyTree, one: Searched) -> tuple[float, float]:
        looked, there = both(params, one.images[:batch], jnp.asarray(one.boxes[:batch]))
        return float(looked), float(there)

    return losses


def rebuild(settings: ColocalisationSections, facts: Mapping[str, Any]) -> Model:
    """The network without its data."""
    network = wire(settings, Canvas.of(facts))
    apply = apply_to(network.module, network.dummy_input.shape[1:])
    return Model(make_learner(settings, network), network.module, params_alone, apply)


def ask(
    settings: ColocalisationSections,
    facts: Mapping[str, Any],
    variables: PyTree,
    paths: Sequence[str],
) -> tuple[list[page.Place], bytes]:
    """Where the object is in each of the user's pictures, and a picture of the first of them."""
    canvas = Canvas.of(facts)
    network = wire(settings, canvas)
    find = make_find(network, 1)
    places, images = [], []
    for path in map(str, paths):
        try:
            image, note = picture_on_canvas(path, canvas)
        except (ValueError, OSError) as error:
            places.append(page.Place(path, (), "", str(error)))
            continue
        images.append(image)
        box = find(variables["params"], image[None]).boxes[0]
        places.append(page.Place(path, page.pixels(box, image.shape), note))
    if not images:
        return places, b""
    shown = np.stack(images[: page.SHOWN])
    return places, page.draw(shown, find(variables["params"], shown))


SYSTEM = System(ColocalisationSections, "configs/stn_colocalise.py", prepare, rebuild, ask)
