"""The largest errors of `grid_sample` against its peers, as the table of docs/conformance.md."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_jax.errors import UserError, as_user_errors, check_installed
from attn_jax.ops import grid_sample
from attn_jax.ops.kernels import KERNELS
from attn_jax.ops.native import build, supports
from attn_jax.ops.padding import PADDINGS
from attn_jax.records import write_atomically
from attn_jax.yardsticks.peers import FILL, Case, Sampled, by_onnx, by_oracle, by_torch

MODES = {2: tuple(KERNELS), 3: tuple(name for name, kernel in KERNELS.items() if kernel.volumes)}
DTYPES = ("float64", "float32", "bfloat16", "float16")
_QUICK = {"xla_backend_optimization_level": 0}  # compiling takes most of the time
_SHAPES = {2: (5, 4, 2), 3: (3, 5, 4, 2)}


class Distance(NamedTuple):
    """The largest absolute errors of a case; None where a peer has no such case.

    Attributes:
      case: what was sampled.
      onnx: the value, against onnx's reference evaluator.
      oracle: value, gradient to the image, gradient to the grid, against float64 NumPy.
      torch: the same against PyTorch in float64.
    """

    case: Case
    onnx: float | None
    oracle: tuple[float, float, float]
    torch: tuple[float, float, float] | None


def cases() -> list[Case]:
    """The full product, by XLA; and what native code has of it."""
    by_xla = [
        Case(dims, *rest)
        for dims in MODES
        for rest in itertools.product(MODES[dims], PADDINGS, (False, True), DTYPES)
    ]
    native = [c._replace(implementation="native") for c in by_xla if _is_native(c)]
    return by_xla + native


def _is_native(case: Case) -> bool:
    return supports(case.mode, case.padding, case.dims + 1, case.dtype)


def run(path: Path, pairs: int, say: Callable[[str], Any]) -> None:
    """Measure every case and write the table.

    Args:
      path: of the Markdown file.
      pairs: images, each with its grid of 4 places, of every case.
      say: is told each row as it is known.

    Raises:
      UserError: without onnx, or a C++ compiler.
    """
    with as_user_errors():
        check_installed("onnx")
    try:
        build()
    except RuntimeError as error:
        raise UserError(str(error)) from error
    rows = []
    with jax.enable_x64(True):
        for case in cases():
            rows.append(measure(case, pairs))
            say(_line(rows[-1]))
    write_atomically(path, markdown(rows, pairs))


def measure(case: Case, pairs: int) -> Distance:
    """One case against every peer that has it."""
    sampled = sample(case, pairs)
    torch = by_torch(case, sampled) if find_spec("torch") else None
    return Distance(
        case,
        _largest(sampled.out[0], by_onnx(case, sampled)),
        _errors(sampled.out, by_oracle(case, sampled)),
        _errors(sampled.out, torch) if torch else None,
    )


def sample(case: Case, pairs: int) -> Sampled:
    """Our value and both gradients, of places inside, around and outside the image."""
    rng = np.random.default_rng(0)
    dtype = jnp.dtype(case.dtype)
    images = jnp.asarray(rng.uniform(-1, 1, (pairs, *_SHAPES[case.dims])), dtype)
    reach = rng.choice([1.0, 1.5, 4.0], size=(pairs, 1, 1))
    coordinates = jnp.promote_types(dtype, jnp.float32)
    grids = jnp.asarray(reach * rng.uniform(-1, 1, (pairs, 4, case.dims)), coordinates)
    cotangents = jnp.asarray(rng.uniform(-1, 1, (pairs, 4, 2)), dtype)
    fill = {"fill": jnp.asarray(FILL, dtype)} if case.padding == "constant" else {}

    @partial(jax.jit, compiler_options=_QUICK)
    def pulled(images, grids, cotangents):
        value, pull = jax.vjp(
            jax.vmap(
                lambda image, grid: grid_sample(
                    image, grid, mode=case.mode, padding=case.padding,
                    align_corners=case.align_corners, implementation=case.implementation, **fill,
                )
            ), images, grids,
        )  # fmt: skip
        return value, *pull(cotangents)

    wide = [np.asarray(a, np.float64) for a in (images, grids, cotangents)]
    out = [np.asarray(a, np.float64) for a in pulled(images, grids, cotangents)]
    return Sampled(*wide, out=(out[0], out[1], out[2]))


def _errors(ours: Any, theirs: Any) -> tuple[float, float, float]:
    value, to_image, to_grid = (
        float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)
    )
    return value, to_image, to_grid


def _largest(ours: np.ndarray, theirs: np.ndarray | None) -> float | None:
    return None if theirs is None else float(np.abs(ours - theirs).max())


def markdown(rows: list[Distance], pairs: int) -> str:
    """The page: what was done, and a table for each dtype."""
    lines = [_HEAD.format(pairs=pairs, versions=_versions())]
    for dtype in DTYPES:
        shown = [row for row in rows if row.case.dtype == dtype]
        if shown:
            lines += [f"\n## {dtype}\n", *_COLUMNS, *map(_line, shown)]
    return "\n".join(lines) + "\n"


_HEAD = """# How far `grid_sample` is from its peers

Written by `python -m experiments.conformance --output=docs/conformance.md`, with {versions}.

Each row is the largest absolute error over {pairs} images of 5 x 4 pixels (volumes of 3 x 5 x 4),
values in [-1, 1] in two channels, each read at 4 places: inside, around, and up to 1.5 widths
outside. Images and cotangents have the row's dtype, coordinates at least float32; peers get the
same numbers in float64. Rows of "native" are of the C++ kernel, all others of XLA. `onnx` is its
reference evaluator (which rounds pixels to float32), `oracle` NumPy in float64 from the definition,
with exact derivatives, `torch` is `torch.nn.functional.grid_sample` in float64. "d image" and
"d grid" are the gradients. `-` says that a peer has no such case, or differs by design (onnx clips
a cubic's place under border, PyTorch and we its taps), or was not installed."""

_COLUMNS = (
    "| | mode | padding | aligned | onnx | oracle | d image | d grid | torch | d image | d grid |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


def _versions() -> str:
    peers = [name for name in ("jax", "numpy", "onnx", "torch") if find_spec(name)]
    return ", ".join(f"{name} {version(name)}" for name in peers)


def _line(row: Distance) -> str:
    case = row.case
    mode = case.mode + " (native)" * (case.implementation == "native")
    named = (f"{case.dims}-D", mode, case.padding, "yes" if case.align_corners else "no")
    return f"| {' | '.join((*named, *_figures(row)))} |"


def _figures(row: Distance) -> Iterator[str]:
    for error in (row.onnx, *row.oracle, *(row.torch or (None,) * 3)):
        yield "-" if error is None else "0" if error == 0 else f"{error:.0e}"
