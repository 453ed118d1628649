"""How fast spatial transformer networks learn, beside the same networks in PyTorch."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from attn_jax import ops
from attn_jax.models import SpatialTransformerNetwork, ViewClassifier
from attn_jax.modules import ConvNet, SpatialTransformer
from attn_jax.operations import flops
from attn_jax.ops import transforms
from attn_jax.records import versions
from attn_jax.types import PyTree
from attn_jax.yardsticks.kernels import differences, in_turn
from attn_jax.yardsticks.rates import matmul_rate

_CLASSES = 10
_RATE, _CLIP = 1e-3, 1.0
_STEPS = 4  # of a call
_TURN = 2  # calls
_TOLERANCE = 1e-2  # of the largest loss
# Not the identity: there every place is a pixel, and the slope is that of one side or the other.
_START = (0.9, 0.05, 0.02, -0.05, 0.9, -0.03)
_BATCH = 256
_SHRINK = 2  # of what the localisation network sees


class Net(NamedTuple):
    """A classifier of images of `side` squared, through an affine transformer or alone.

    Attributes:
      side: of the images, pixels.
      read: side of what the transformer reads; None: the classifier alone.
      filters, kernels: of the classifier's convolutions.
    """

    side: int
    read: int | None
    filters: tuple[int, ...] = (32, 64)
    kernels: tuple[int, ...] = (9, 7)

    def __str__(self) -> str:
        way = "CNN" if self.read is None else f"ST-CNN to {self.read}x{self.read}"
        widths = ", ".join(
            f"{k}x{k} -> {n}" for k, n in zip(self.kernels, self.filters, strict=True)
        )
        return f"{way} on {self.side}x{self.side}: {widths}"

    @property
    def module(self) -> SpatialTransformerNetwork:
        """The network."""
        classify = ViewClassifier(ConvNet(self.filters, self.kernels), _CLASSES)
        if self.read is None:
            return SpatialTransformerNetwork((), classify)
        localisation = ConvNet((20, 20), (5, 5), (20,), _SHRINK)
        affine = transforms.full_affine()
        layer = SpatialTransformer(localisation, affine, self.read, start=_START)
        return SpatialTransformerNetwork((layer,), classify)


REPORTED = (
    Net(28, None),
    Net(28, 28),
    Net(42, None),
    Net(42, 28),
    Net(28, None, (32, 64, 128), (5, 5, 3)),
    Net(28, 28, (32, 64, 128), (5, 5, 3)),
    Net(42, 28, (32, 64, 128), (5, 5, 3)),
)


class Inputs(NamedTuple):
    """Images [B, H, W, 1], their labels [B], and the network's first parameters."""

    images: np.ndarray
    labels: np.ndarray
    params: PyTree


# (inputs, net) -> a call that makes `_STEPS` updates from the first parameters, and gives the
# losses [_STEPS] before each
Peer = Callable[[Inputs, Net], Callable[[], Sequence[Any]]]


class Timing(NamedTuple):
    """One network's training step.

    Attributes:
      net: which.
      milliseconds: {peer: the median of an update}.
      gigaflops: operations of a forward and a backward pass, in units of 10^9.
    """

    net: Net
    milliseconds: Mapping[str, float]
    gigaflops: float


def make_inputs(net: Net, batch: int, seed: int = 0) -> Inputs:
    """Uniform noise with random labels."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(size=(batch, net.side, net.side, 1)).astype(np.float32)
    params = jax.jit(net.module.init)(jax.random.key(seed), images[:1])["params"]
    return Inputs(images, rng.integers(_CLASSES, size=batch), params)


def _loss(net: Net, params: PyTree, images: Array, labels: Array) -> Array:
    logits = net.module.apply({"params": params}, images).logits
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def ours(inputs: Inputs, net: Net) -> Callable[[], Sequence[Array]]:
    """This library's: updates in one compiled loop, as its engine runs them."""
    optimizer = optax.chain(optax.clip_by_global_norm(_CLIP), optax.adam(_RATE))

    @jax.jit
    def run(params: PyTree, images: Array, labels: Array) -> Array:
        def step(carry: tuple, _: None) -> tuple[tuple, Array]:
            params, state = carry
            loss, gradient = jax.value_and_grad(_loss, argnums=1)(net, params, images, labels)
            changes, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, changes), state), loss

        # The last parameters are used, so that the last update is made.
        last, losses = jax.lax.scan(step, (params, optimizer.init(params)), length=_STEPS)
        return jax.lax.optimization_barrier((losses, last))[0]

    arrays = jax.device_put((inputs.params, inputs.images, inputs.labels))
    return lambda: [jax.block_until_ready(run(*arrays))]


def of_torch(channels_last: bool) -> Peer:
    """PyTorch's, with images in NCHW or with their channels last in memory."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def of_leaf(array: np.ndarray) -> Any:
        """A parameter in PyTorch's layout: kernels [O, C, h, w], weights [out, in]."""
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
        leaf = torch.from_numpy(np.array(array)).permute(axes)
        kept = leaf.contiguous(memory_format=layout) if array.ndim == 4 else leaf.contiguous()
        return kept.requires_grad_()

    def features(x: Any, params: Mapping[str, Any], hidden: bool) -> Any:
        """`modules.ConvNet` of the localisation network, or of the classifier without dense."""
        if hidden:
            x = functional.avg_pool2d(x, _SHRINK)
        for name in sorted(one for one in params if one.startswith("Conv")):
            x = functional.relu(functional.conv2d(x, params[name]["kernel"], params[name]["bias"]))
            x = functional.max_pool2d(x, 2) if min(x.shape[2:]) > 1 else x
        x = x.permute(0, 2, 3, 1).flatten(1)
        return functional.relu(dense(x, params["Dense_0"])) if hidden else x

    def dense(x: Any, params: Mapping[str, Any]) -> Any:
        return functional.linear(x, params["kernel"], params["bias"])

    def logits(net: Net, params: Mapping[str, Any], x: Any) -> Any:
        if net.read is not None:
            found = features(x, params["transformers_0"]["localisation"], True)
            theta = dense(found, params["transformers_0"]["propose"]["Dense_0"]).view(-1, 2, 3)
            size = [len(x), 1, net.read, net.read]
            grid = functional.affine_grid(theta, size, align_corners=False)
            x = functional.grid_sample(x, grid, align_corners=False)
        seen = features(x, params["classify"]["features"], False)
        return dense(seen, params["classify"]["Classifier_0"]["Dense_0"])

    def peer(inputs: Inputs, net: Net) -> Callable[[], Sequence[Any]]:
        images = torch.from_numpy(inputs.images).permute(0, 3, 1, 2)
        images = images.contiguous(memory_format=layout)
        labels = torch.from_numpy(inputs.labels)

        def run() -> list:
            params = jax.tree.map(of_leaf, jax.device_get(inputs.params))
            leaves = jax.tree.leaves(params)
            optimizer = torch.optim.Adam(leaves, _RATE, fused=True)
            losses = []
            for _ in range(_STEPS):
                optimizer.zero_grad()
                loss = functional.cross_entropy(logits(net, params, images), labels)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(leaves, _CLIP)
                optimizer.step()
                losses.append(loss.detach())
            return [torch.stack(losses)]

        return run

    return peer


def peers() -> dict[str, Peer]:
    """Whoever is here, ours first."""
    found: dict[str, Peer] = {"ours": ours}
    try:
        import torch
    except ImportError:
        return found
    del torch
    return found | {"torch": of_torch(False), "torch, channels last": of_torch(True)}


def measure(nets: Sequence[Net], found: Mapping[str, Peer], batch: int) -> list[Timing]:
    """Time every peer's training step of every network, taking turns, once their losses agree.

    Raises:
      UserError: if a peer's losses differ.
    """
    return [_of_net(net, found, batch) for net in nets]


def _of_net(net: Net, found: Mapping[str, Peer], batch: int) -> Timing:
    inputs = make_inputs(net, batch)
    calls = {name: peer(inputs, net) for name, peer in found.items()}
    differences(calls, f"training of {net}", _TOLERANCE)
    seconds = in_turn(calls, _TURN)
    arrays = jax.device_put((inputs.params, inputs.images, inputs.labels))
    count = flops(partial(jax.grad(_loss, argnums=1), net), *arrays)
    each = {name: 1e3 * one / _STEPS for name, one in seconds.items()}
    return Timing(net, each, count / 1e9)


def benchmark_networks(batch: int = _BATCH) -> tuple[str, dict[str, Any], None]:
    """Time the reported networks.

    Args:
      batch: images of a training step.

    Returns:
      A Markdown table, plain data, and no picture.

    Raises:
      UserError: if a peer's losses differ.
    """
    if jax.default_backend() == "cpu":
        with contextlib.suppress(RuntimeError):  # no compiler
            ops.native.build()
    before = matmul_rate()
    rows = measure(REPORTED, peers(), batch)
    rate = (before + matmul_rate()) / 2
    plain = {
        "batch": batch,
        "matmul_gflops": rate,
        "reported": [
            {"net": str(row.net), "gigaflops": row.gigaflops, **row.milliseconds} for row in rows
        ],
        **versions(),
    }
    return table(rows, batch, rate), plain, None


def table(rows: Sequence[Timing], batch: int, rate: float) -> str:
    """Times, the ratio to the faster of PyTorch's, and the share of the matrix product's rate."""
    names = list(rows[0].milliseconds)
    alone = {row.net: row.milliseconds["ours"] for row in rows if row.net.read is None}
    lines = [f"Milliseconds of a training step of {batch} images, medians; ratio: ours / the "]
    lines += [
        "faster torch; transformer: what it adds to the CNN on the size that it reads; rate: "
    ]
    lines += [f"of our operations over a matrix product's {rate:.0f} GFLOP/s.\n\n"]
    lines += [_line(["network", *names, "ratio", "transformer", "GFLOP", "rate"])]
    lines += [_line(["---"] * (5 + len(names)))]
    for net, times, gigaflops in rows:
        ours = times["ours"]
        theirs = [time for name, time in times.items() if name != "ours"]
        behind = alone.get(net._replace(side=net.read, read=None)) if net.read else None
        cells = [str(net), *(f"{times[name]:.2f}" for name in names)]
        cells += [f"{ours / min(theirs):.2f}" if theirs else ""]
        cells += [f"{100 * (ours / behind - 1):+.0f} %" if behind else ""]
        cells += [f"{gigaflops:.2f}", f"{1e3 * gigaflops / ours / rate:.2f}"]
        lines.append(_line(cells))
    return "".join(lines)


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |\n"
