"""How fast the samplers are, beside PyTorch's and jax.scipy's, on the same random transforms."""

import contextlib
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax import ops
from attn_jax.errors import UserError

OPERATIONS = ("forward", "forward+backward", "grid backward")
# Of the largest value. A place on a pixel to rounding has the slope of one side or the other, which
# of a transform's gradient is a few parts in a thousand.
_TOLERANCE = {"forward": 1e-3, "forward+backward": 2e-2, "grid backward": 2e-2}
_SECONDS = 1.0  # for each shape and operation
_TURN = 5  # calls


class Shape(NamedTuple):
    """B images of H x W x C, read at h x w places."""

    batch: int
    height: int
    width: int
    channels: int
    rows: int
    columns: int

    def __str__(self) -> str:
        b, h, w, c, rows, columns = self
        return f"{b}x{h}x{w}x{c} -> {rows}x{columns}"

    @property
    def bytes(self) -> int:
        """What must be moved at least: every pixel read once, every result written once."""
        b, h, w, c, rows, columns = self
        return 4 * b * c * (h * w + rows * columns)


def _square(batch: int, side: int, channels: int, out: int | None = None) -> Shape:
    return Shape(batch, side, side, channels, out or side, out or side)


REPORTED = (
    _square(256, 28, 1),
    _square(64, 60, 1),
    _square(32, 128, 3, 64),
    _square(16, 224, 3, 128),
    _square(8, 56, 64, 28),
)
SWEEPS = {
    "side": [_square(4, side, 3) for side in (28, 64, 128, 256, 512, 1024)],
    "batch": [_square(batch, 28, 1) for batch in (1, 4, 16, 64, 256, 1024)],
    "channels": [_square(8, 56, c, 28) for c in (1, 3, 4, 16, 64, 256)],
}


class Inputs(NamedTuple):
    """Images [B, H, W, C], transforms [B, 2, 3] partly outside, and the output's cotangent."""

    images: np.ndarray
    theta: np.ndarray
    cotangent: np.ndarray


class Timing(NamedTuple):
    """One measurement.

    Attributes:
      shape, operation, peer: of what.
      milliseconds: the median.
      gigabytes: per second, of `Shape.bytes`; forward alone.
      compile_seconds: 0 for what is not compiled.
      difference: the largest from the first peer's, over the largest value.
    """

    shape: str
    operation: str
    peer: str
    milliseconds: float
    gigabytes: float | None
    compile_seconds: float
    difference: float


# Of inputs: operation -> (a call that waits for its arrays, seconds to compile).
Peer = Callable[[Inputs, Shape], dict[str, tuple[Callable[[], Sequence[Any]], float]]]


def make_inputs(shape: Shape, seed: int = 0) -> Inputs:
    """Random images; each transform turns, zooms and shifts by its own amounts."""
    rng = np.random.default_rng(seed)
    b, h, w, c, rows, columns = shape
    turn, zoom = rng.uniform(-0.5, 0.5, b), rng.uniform(0.6, 1.2, b)
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    shift = rng.uniform(-0.3, 0.3, (2, b))
    theta = np.stack([cos, -sin, shift[0], sin, cos, shift[1]], -1).reshape(b, 2, 3)
    images, cotangent = rng.normal(size=(b, h, w, c)), rng.normal(size=(b, rows, columns, c))
    return Inputs(*(one.astype(np.float32) for one in (images, theta, cotangent)))


def of_jax(sample: Callable[..., Array]) -> Peer:
    """A peer of sample(image, theta, size), vmapped and compiled."""

    def peer(inputs: Inputs, shape: Shape) -> dict:
        batched = jax.vmap(lambda image, theta: sample(image, theta, shape[-2:]))

        def both(images: Array, theta: Array, cotangent: Array) -> tuple[Array, ...]:
            out, pull = jax.vjp(batched, images, theta)
            return out, *pull(cotangent)

        def grid(images: Array, theta: Array, cotangent: Array) -> tuple[Array, ...]:
            return jax.vjp(partial(batched, images), theta)[1](cotangent)

        def forward(images: Array, theta: Array, cotangent: Array) -> tuple[Array, ...]:
            del cotangent
            return (batched(images, theta),)

        arrays = jax.device_put(tuple(inputs))
        return {
            name: compiled_call(f, arrays)
            for name, f in zip(OPERATIONS, (forward, both, grid), strict=True)
        }

    return peer


def measure_retina() -> list[Timing]:
    """RAM's glimpse, 3 scales of 12x12 on 60x60, at as many places as images; it has no peer."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(128, 60, 60, 1))
    places = rng.uniform(-1, 1, (128, 2))
    cotangent = rng.normal(size=(128, 3, 12, 12, 1))
    arrays = tuple(jnp.asarray(one, jnp.float32) for one in (images, places, cotangent))
    batched = jax.vmap(ops.retina(12, scales=3).apply)

    def both(images: Array, places: Array, cotangent: Array) -> tuple[Array, ...]:
        out, pull = jax.vjp(batched, images, places)
        return out, *pull(cotangent)

    functions = {
        "forward": lambda images, places, _: (batched(images, places),),
        "forward+backward": both,
        "grid backward": lambda i, p, cotangent: jax.vjp(partial(batched, i), p)[1](cotangent),
    }
    moved, rows = 4 * (images.size + cotangent.size), []
    for operation, f in functions.items():
        call, compiled = compiled_call(f, arrays)
        seconds = in_turn({"xla": call})["xla"]
        rate = moved / seconds / 1e9 if operation == "forward" else None
        name = "retina of 128x60x60x1 -> 3x12x12"
        rows.append(Timing(name, operation, "xla", 1e3 * seconds, rate, compiled, 0.0))
    return rows


def compiled_call(f: Callable, arrays: tuple) -> tuple[Callable[[], Sequence[Array]], float]:
    """A call of f that waits for its arrays, and the seconds it took to compile."""
    began = time.perf_counter()
    compiled = jax.jit(f, keep_unused=True).lower(*arrays).compile()
    seconds = time.perf_counter() - began
    return lambda: jax.block_until_ready(compiled(*arrays)), seconds


def of_torch(inputs: Inputs, shape: Shape) -> dict:
    """PyTorch's affine_grid and grid_sample, on images in its own layout, NCHW."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    images, theta, cotangent = (torch.from_numpy(one).to(device) for one in inputs)
    images, cotangent = (one.permute(0, 3, 1, 2).contiguous() for one in (images, cotangent))
    b, c, rows, columns = shape.batch, shape.channels, shape.rows, shape.columns

    def sample(images: Any, theta: Any) -> Any:
        grid = functional.affine_grid(theta, [b, c, rows, columns], align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)

    def forward() -> list:
        with torch.no_grad():
            return [_last(sample(images, theta))]

    def both() -> list:
        moving = images.requires_grad_(), theta.requires_grad_()
        out = sample(*moving)
        of_images, of_theta = torch.autograd.grad(out, moving, cotangent)
        return [_last(out.detach()), _last(of_images), of_theta]

    def grid() -> list:
        moving = theta.requires_grad_()
        return list(torch.autograd.grad(sample(images.detach(), moving), moving, cotangent))

    def waited(f: Callable[[], list]) -> Callable[[], list]:
        def call() -> list:
            out = f()
            if device == "cuda":
                torch.cuda.synchronize()
            return out

        return call

    calls = [waited(f) for f in (forward, both, grid)]
    return {name: (call, 0.0) for name, call in zip(OPERATIONS, calls, strict=True)}


def on_host(array: Any) -> np.ndarray:
    """A JAX or PyTorch array, wherever it lies, as NumPy's."""
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


def _last(images: Any) -> Any:
    return images.permute(0, 2, 3, 1)  # a view: it costs nothing


def of_scipy(image: Array, theta: Array, size: tuple[int, int]) -> Array:
    """The same by jax.scipy's map_coordinates, a channel at a time."""
    grid = ops.affine_grid(theta, size)
    height, width, _ = image.shape
    places = [ops.to_pixels(grid[..., 1], height), ops.to_pixels(grid[..., 0], width)]
    one = partial(jax.scipy.ndimage.map_coordinates, coordinates=places, order=1)
    return jax.vmap(one, -1, -1)(image)


def peers() -> dict[str, Peer]:
    """Whoever is here, ours first."""

    def ours(implementation: str) -> Peer:
        return of_jax(partial(ops.affine_sample, implementation=implementation))

    found = {"xla": ours("xla")}
    if jax.default_backend() == "cpu":
        with contextlib.suppress(RuntimeError):  # no compiler
            ops.native.build()
            found["native"] = ours("native")
    try:
        import torch
    except ImportError:
        pass
    else:
        if jax.default_backend() == "cpu" or torch.cuda.is_available():
            found["torch"] = of_torch
    return found | {"map_coordinates": of_jax(of_scipy)}


def measure(shapes: Sequence[Shape], found: dict[str, Peer]) -> list[Timing]:
    """Time every peer on every shape, taking turns; their values are checked first.

    Raises:
      UserError: if a peer's values differ.
    """
    return [row for shape in shapes for row in _of_shape(shape, found)]


def _of_shape(shape: Shape, found: dict[str, Peer]) -> list[Timing]:
    inputs, rows = make_inputs(shape), []
    ready = {name: peer(inputs, shape) for name, peer in found.items()}
    for operation in OPERATIONS:
        calls = {name: made[operation][0] for name, made in ready.items()}
        found_differences = differences(calls, f"{operation} of {shape}", _TOLERANCE[operation])
        for name, seconds in in_turn(calls).items():
            rate = shape.bytes / seconds / 1e9 if operation == "forward" else None
            compiled = ready[name][operation][1]
            rows.append(
                Timing(
                    str(shape),
                    operation,
                    name,
                    1e3 * seconds,
                    rate,
                    compiled,
                    found_differences[name],
                )
            )
    return rows


def differences(calls: dict[str, Callable], what: str, tolerance: float) -> dict[str, float]:
    """The largest differences from the first call's values, over the largest value of each array.

    Raises:
      UserError: naming `what` and the peer, if one is above the tolerance.
    """
    given = {name: [on_host(one) for one in call()] for name, call in calls.items()}
    first = next(iter(given.values()))
    found = {
        name: max(
            float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(first, ours, strict=True)
        )
        for name, ours in given.items()
    }
    for name, difference in found.items():
        if not difference <= tolerance:
            raise UserError(f"{what}: {name} differs by {difference:.2g} of the largest value")
    return found


def in_turn(calls: dict[str, Callable], turn: int = _TURN) -> dict[str, float]:
    """The median seconds of each call, taking turns of a few calls for about a second."""
    once = sum(_seconds(call) for call in calls.values())
    rounds = min(max(int(_SECONDS / once / turn), 3), 20)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            # The first is not counted: threads of the one before may still be spinning.
            seconds[name] += [_seconds(call) for _ in range(turn)][1:]
    return {name: statistics.median(each) for name, each in seconds.items()}


def _seconds(call: Callable) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def geometric_means(rows: Sequence[Timing], against: str = "torch") -> dict[str, dict[str, float]]:
    """Of time over that of `against`: {operation: {peer: mean}}; empty without it."""
    times = {(row.shape, row.operation, row.peer): row.milliseconds for row in rows}
    means: dict[str, dict[str, float]] = {}
    for operation in dict.fromkeys(row.operation for row in rows):
        for peer in dict.fromkeys(row.peer for row in rows):
            logs = [
                math.log(time / times[shape, operation, against])
                for (shape, name, who), time in times.items()
                if (name, who) == (operation, peer) and (shape, operation, against) in times
            ]
            if logs:
                means.setdefault(operation, {})[peer] = math.exp(statistics.fmean(logs))
    return means
