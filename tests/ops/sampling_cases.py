"""What the tests of `grid_sample` share: its options, random pairs, compiled samplers."""

import functools
import itertools

import jax
import numpy as np

from attn_jax.ops import grid_sample

MODES = {2: ("nearest", "bilinear", "bicubic", "lanczos3"), 3: ("nearest", "bilinear")}
PADDINGS = ("zeros", "border", "reflection", "wrap", "constant")
SHAPES = {2: (5, 4, 2), 3: (3, 5, 4, 2)}
PLACES = 4
FILL = np.array([0.3, -1.2])
ALL = [
    (dims, mode, padding, align_corners)
    for dims in (2, 3)
    for mode, padding, align_corners in itertools.product(MODES[dims], PADDINGS, (False, True))
]
# Where one alignment must do for each: in turn, so that every value of every axis is met.
SOME = [
    (dims, mode, padding, bool((i + j) % 2))
    for dims in (2, 3)
    for (i, mode), (j, padding) in itertools.product(enumerate(MODES[dims]), enumerate(PADDINGS))
]
# Compiling takes longer than running: XLA need not try hard.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def options(mode, padding, align_corners):
    constant = {"fill": jax.numpy.asarray(FILL, "float32")} if padding == "constant" else {}
    return {"mode": mode, "padding": padding, "align_corners": align_corners, **constant}


@functools.cache
def batched(mode="bilinear", padding="zeros", align_corners=False):
    """A compiled sampler of images [B, ...] at grids [B, n, d]."""
    chosen = options(mode, padding, align_corners)
    return quick_jit(jax.vmap(lambda image, grid: grid_sample(image, grid, **chosen)))


@functools.cache
def pulled(mode, padding, align_corners):
    """(images, grids, cotangents) -> the values, and the gradients to images and grids."""
    chosen = options(mode, padding, align_corners)
    sample = jax.vmap(lambda image, grid: grid_sample(image, grid, **chosen))

    def value_and_gradients(images, grids, cotangents):
        value, pull = jax.vjp(sample, images, grids)
        return value, *pull(cotangents)

    return quick_jit(value_and_gradients)


def pairs(dims, count, seed=0, places=PLACES, shape=None):
    """Images, and grids whose places lie inside, around and far outside; float64."""
    rng = np.random.default_rng(seed)
    reach = rng.choice([1.0, 1.5, 8.0], size=(count, 1, 1))
    grids = reach * rng.uniform(-1, 1, size=(count, places, dims))
    return rng.uniform(-1, 1, size=(count, *(shape or SHAPES[dims]))), grids


def name(case):
    dims, mode, padding, align_corners = case
    return f"{dims}d-{mode}-{padding}-{'aligned' if align_corners else 'edges'}"
