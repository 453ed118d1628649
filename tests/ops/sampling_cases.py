"""What the tests of `grid_sample` share: its options, random pairs, compiled samplers."""

import functools
import itertools
from typing import NamedTuple

import jax
import numpy as np
import pytest

from attn_jax.ops import grid_sample
from attn_jax.ops.native import library
from tests.xla import QUICK


class Case(NamedTuple):
    """One static signature; all but `dims` are options of `grid_sample`."""

    dims: int
    mode: str
    padding: str
    align_corners: bool
    implementation: str = "xla"


MODES = {2: ("nearest", "bilinear", "bicubic", "lanczos3"), 3: ("nearest", "bilinear")}
PADDINGS = ("zeros", "border", "reflection", "wrap", "constant")
SHAPES = {2: (5, 4, 2), 3: (3, 5, 4, 2)}
PLACES = 4
FILL = np.array([0.3, -1.2])
XLA = [
    Case(dims, mode, padding, align_corners)
    for dims in (2, 3)
    for mode, padding, align_corners in itertools.product(MODES[dims], PADDINGS, (False, True))
]
NATIVE = [c._replace(implementation="native") for c in XLA if c[:2] == (2, "bilinear")]
ALL = [*XLA, *NATIVE]
# Where one alignment must do for each: in turn, so that every value of every axis is met.
SOME = [
    Case(dims, mode, padding, bool((i + j) % 2))
    for dims in (2, 3)
    for (i, mode), (j, padding) in itertools.product(enumerate(MODES[dims]), enumerate(PADDINGS))
]
SOME += [case for case in NATIVE if case._replace(implementation="xla") in SOME]
# Compiling takes longer than running: XLA need not try hard.
quick_jit = functools.partial(jax.jit, compiler_options=QUICK)

_needs_compiler = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")
IMPLEMENTATIONS = ["xla", pytest.param("native", marks=_needs_compiler)]


def each(cases):
    """Parametrises a test by case."""
    found = [Case(*case) for case in cases]
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=name(case), marks=marks(case)) for case in found]
    )


def marks(case):
    """Native code cannot be tested without a compiler."""
    return [_needs_compiler] if case.implementation == "native" else []


def name(case):
    edges = "aligned" if case.align_corners else "edges"
    native = "-native" * (case.implementation == "native")
    return f"{case.dims}d-{case.mode}-{case.padding}-{edges}{native}"


def options(mode="bilinear", padding="zeros", align_corners=False, implementation="xla"):
    fill = {"fill": jax.numpy.asarray(FILL, "float32")} if padding == "constant" else {}
    return {
        "mode": mode, "padding": padding, "align_corners": align_corners,
        "implementation": implementation, **fill,
    }  # fmt: skip


@functools.cache
def batched(*chosen):
    """A compiled sampler of images [B, ...] at grids [B, n, d], of a case but for `dims`."""
    return quick_jit(jax.vmap(functools.partial(grid_sample, **options(*chosen))))


@functools.cache
def pulled(*chosen):
    """(images, grids, cotangents) -> the values, and the gradients to images and grids."""
    sample = jax.vmap(functools.partial(grid_sample, **options(*chosen)))

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
