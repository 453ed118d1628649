"""How fast convolutions and their gradients are on a CPU, beside `lax.conv` and PyTorch's."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax import ops
from attn_jax.records import versions
from attn_jax.yardsticks.kernels import (
    Timing,
    compiled_call,
    differences,
    geometric_means,
    in_turn,
)

OPERATIONS = ("forward", "forward+backward")
_TOLERANCE = 1e-3  # of the largest value
_STEPS = 10  # iterations of a loop: memory is new in the first alone
_SLOW_STEPS = 2  # of lax.conv's, whose gradients may take 30 times as long there
_ITERATIONS = {"ours in a loop": _STEPS, "lax in a loop": _SLOW_STEPS}
_TURN = 2  # calls


class Layer(NamedTuple):
    """A convolution of B images of H x W x C by O square filters; padding "SAME" or "VALID"."""

    batch: int
    side: int
    channels: int
    kernel: int
    filters: int
    stride: int = 1
    padding: str = "SAME"

    def __str__(self) -> str:
        b, n, c, k, o, stride, padding = self
        return f"{b}x{n}x{n}x{c}, {k}x{k} -> {o}, stride {stride}, {padding}"


REPORTED = (
    # this library's: a classifier's, the encoder's, those of localisation networks
    Layer(256, 28, 1, 9, 32, 1, "VALID"),
    Layer(256, 10, 32, 7, 32, 1, "VALID"),
    Layer(256, 42, 1, 9, 32, 1, "VALID"),
    Layer(128, 60, 1, 3, 16, 2),
    Layer(128, 30, 16, 3, 32, 2),
    Layer(128, 15, 32, 3, 64, 2),
    Layer(256, 14, 1, 5, 20, 1, "VALID"),
    Layer(256, 5, 20, 5, 20, 1, "VALID"),
    # those of a small ResNet
    Layer(64, 64, 3, 3, 16),
    Layer(64, 32, 16, 3, 16),
    Layer(64, 32, 16, 3, 32, 2),
    Layer(64, 16, 32, 3, 32),
    Layer(64, 16, 32, 3, 64, 2),
    Layer(64, 14, 128, 3, 128),
    Layer(32, 14, 128, 3, 256, 2),
    Layer(32, 7, 256, 3, 256),
)


class Inputs(NamedTuple):
    """Images [B, H, W, C], a kernel [k, k, C, O], and the result's cotangent."""

    images: np.ndarray
    kernel: np.ndarray
    cotangent: np.ndarray


Call = tuple[Callable[[], Sequence[Any]], float]  # waits for its arrays; seconds to compile
Peer = Callable[[Inputs, Layer], dict[str, Call]]


def make_inputs(layer: Layer, seed: int = 0) -> Inputs:
    """Normal numbers."""
    rng = np.random.default_rng(seed)
    b, n, c, k, o, _, _ = layer
    images, kernel = rng.normal(size=(b, n, n, c)), rng.normal(size=(k, k, c, o))
    out = jax.eval_shape(lambda x, k: _lax(x, k, layer), images, kernel)
    arrays = images, kernel, rng.normal(size=out.shape)
    return Inputs(*(one.astype(np.float32) for one in arrays))


def _ours(images: Array, kernel: Array, layer: Layer) -> Array:
    return ops.conv(images, kernel, strides=layer.stride, padding=layer.padding)


def _lax(images: Array, kernel: Array, layer: Layer) -> Array:
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (layer.stride, layer.stride),
        layer.padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def of_jax(convolve: Callable[[Array, Array, Layer], Array], steps: int = 0) -> Peer:
    """A peer of convolve(images, kernel, layer), compiled; inside a `lax.scan` of so many steps."""

    def peer(inputs: Inputs, layer: Layer) -> dict[str, Call]:
        def forward(images: Array, kernel: Array, cotangent: Array) -> tuple[Array, ...]:
            del cotangent
            return (convolve(images, kernel, layer),)

        def both(images: Array, kernel: Array, cotangent: Array) -> tuple[Array, ...]:
            out, pull = jax.vjp(lambda x, k: convolve(x, k, layer), images, kernel)
            return out, *pull(cotangent)

        arrays = jax.device_put(tuple(inputs))
        return {
            name: compiled_call(_looped(f, steps) if steps else f, arrays)
            for name, f in zip(OPERATIONS, (forward, both), strict=True)
        }

    return peer


def _looped(f: Callable[..., tuple[Array, ...]], steps: int) -> Callable[..., tuple[Array, ...]]:
    """The last results of f, called again in each iteration of a loop."""

    def run(*arrays: Array) -> tuple[Array, ...]:
        def step(carry: tuple[Array, tuple], _: None) -> tuple[tuple[Array, tuple], None]:
            # A value that passes a barrier with the count, which is used, stays inside the loop.
            given, count = jax.lax.optimization_barrier((arrays, carry[0]))
            return (count + 1, jax.lax.optimization_barrier(f(*given))), None

        first = jax.tree.map(jnp.zeros_like, jax.eval_shape(f, *arrays))
        count, last = jax.lax.scan(step, (jnp.zeros(()), first), length=steps)[0]
        return jax.lax.optimization_barrier((last, count))[0]

    return run


def of_torch(channels_last: bool) -> Peer:
    """PyTorch's conv2d, on images in NCHW or with their channels last in memory."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def laid(array: np.ndarray, axes: tuple[int, ...]) -> Any:
        return torch.from_numpy(array).permute(axes).contiguous(memory_format=layout)

    def peer(inputs: Inputs, layer: Layer) -> dict[str, Call]:
        images, cotangent = (laid(one, (0, 3, 1, 2)) for one in (inputs.images, inputs.cotangent))
        kernel = laid(inputs.kernel, (3, 2, 0, 1))
        low, high = _padding(layer)

        def convolve(images: Any, kernel: Any) -> Any:
            if low != high:  # PyTorch's own padding is the same on all sides
                images = functional.pad(images, (low, high, low, high))
            return functional.conv2d(
                images, kernel, stride=layer.stride, padding=low if low == high else 0
            )

        def forward() -> list:
            with torch.no_grad():
                return [convolve(images, kernel).permute(0, 2, 3, 1)]

        def both() -> list:
            moving = images.detach().requires_grad_(), kernel.detach().requires_grad_()
            out = convolve(*moving)
            of_images, of_kernel = torch.autograd.grad(out, moving, cotangent)
            shown = out.detach().permute(0, 2, 3, 1), of_images.permute(0, 2, 3, 1)
            return [*shown, of_kernel.permute(2, 3, 1, 0)]

        return dict(zip(OPERATIONS, ((forward, 0.0), (both, 0.0)), strict=True))

    return peer


def _padding(layer: Layer) -> tuple[int, int]:
    """The zeros before and after the rows and the columns."""
    if layer.padding == "VALID":
        return 0, 0
    out = -(-layer.side // layer.stride)
    gap = max((out - 1) * layer.stride + layer.kernel - layer.side, 0)
    return gap // 2, gap - gap // 2


def peers() -> dict[str, Peer]:
    """Whoever is here, ours first."""
    found = {
        "ours": of_jax(_ours),
        "ours in a loop": of_jax(_ours, _STEPS),
        "lax": of_jax(_lax),
        "lax in a loop": of_jax(_lax, _SLOW_STEPS),
    }
    try:
        import torch
    except ImportError:
        return found
    del torch
    return found | {"torch": of_torch(False), "torch, channels last": of_torch(True)}


def measure(layers: Sequence[Layer], found: dict[str, Peer]) -> list[Timing]:
    """Time every peer on every layer, taking turns; their values are checked first.

    Raises:
      UserError: if a peer's values differ.
    """
    return [row for layer in layers for row in _of_layer(layer, found)]


def _of_layer(layer: Layer, found: dict[str, Peer]) -> list[Timing]:
    inputs, rows = make_inputs(layer), []
    ready = {name: peer(inputs, layer) for name, peer in found.items()}
    for operation in OPERATIONS:
        calls = {name: made[operation][0] for name, made in ready.items()}
        apart = differences(calls, f"{operation} of {layer}", _TOLERANCE)
        for name, seconds in in_turn(calls, _TURN).items():
            each = 1e3 * seconds / _ITERATIONS.get(name, 1)
            compiled = ready[name][operation][1]
            rows.append(Timing(str(layer), operation, name, each, None, compiled, apart[name]))
    return rows


def with_the_faster(rows: Sequence[Timing]) -> list[Timing]:
    """Rows, and those of "faster torch": the better of its two layouts; none without it."""
    better: dict[tuple[str, str], Timing] = {}
    for row in rows:
        key = row.shape, row.operation
        if row.peer.startswith("torch") and (
            key not in better or row.milliseconds < better[key].milliseconds
        ):
            better[key] = row
    return [*rows, *(row._replace(peer="faster torch") for row in better.values())]


def benchmark_convolutions() -> tuple[str, dict[str, Any], None]:
    """Time the reported layers.

    Returns:
      A Markdown table, plain data, and no picture.

    Raises:
      UserError: if a peer's values differ.
    """
    rows = with_the_faster(measure(REPORTED, peers()))
    plain = {
        "reported": [row._asdict() for row in rows],
        "geometric_means_of_torch": geometric_means(rows, "faster torch"),
        **versions(),
    }
    return _table(rows), plain, None


def _table(rows: Sequence[Timing]) -> str:
    times = {(row.operation, row.shape, row.peer): row for row in rows}
    names = [name for name in dict.fromkeys(row.peer for row in rows) if name != "faster torch"]
    lines = ["Milliseconds, medians; in a loop, of one iteration. Ratio: ours in a loop / the "]
    lines += ["faster torch.\n\n", _line(["operation", "layer", *names, "ratio", "compile s"])]
    lines += [_line(["---"] * (4 + len(names)))]
    for operation in OPERATIONS:
        for shape in dict.fromkeys(row.shape for row in rows):
            of = {name: times[operation, shape, name] for name in names}
            ours, best = of["ours in a loop"], times.get((operation, shape, "faster torch"))
            ratio = f"{ours.milliseconds / best.milliseconds:.2f}" if best else ""
            shown = [f"{one.milliseconds:.3f}" for one in of.values()]
            lines.append(_line([operation, shape, *shown, ratio, f"{ours.compile_seconds:.2f}"]))
    for operation, means in geometric_means(rows, "faster torch").items():
        shown = [f"{means[name]:.2f}" for name in names]
        title = "geometric mean of time / the faster torch's"
        lines.append(_line([operation, title, *shown, f"{means['ours in a loop']:.2f}", ""]))
    return "".join(lines)


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |\n"
