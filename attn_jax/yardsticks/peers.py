"""The peers that `grid_sample` is compared with: float64 NumPy, onnx and PyTorch."""

from typing import NamedTuple

import numpy as np

from attn_jax.yardsticks.oracle import oracle

FILL = np.array([0.25, -1.5])  # exact in every dtype
_ONNX = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}
_PADDINGS = ("zeros", "border", "reflection")


class Case(NamedTuple):
    """One row."""

    dims: int
    mode: str
    padding: str
    align_corners: bool
    dtype: str
    implementation: str = "xla"


class Sampled(NamedTuple):
    """What went in, exact in the case's dtype, and what came out; all float64."""

    images: np.ndarray
    grids: np.ndarray
    cotangents: np.ndarray
    out: tuple[np.ndarray, np.ndarray, np.ndarray]


def by_oracle(case: Case, sampled: Sampled) -> tuple[np.ndarray, ...]:
    """Value and both gradients."""
    found = []
    for image, grid, cotangent in zip(*sampled[:3], strict=True):
        told = oracle(
            image, grid, mode=case.mode, padding=case.padding, fill=FILL,
            align_corners=case.align_corners,
        )  # fmt: skip
        found.append((told.value, *told.gradients(cotangent)[:2]))
    return tuple(np.stack(a) for a in zip(*found, strict=True))


def by_onnx(case: Case, sampled: Sampled) -> np.ndarray | None:
    """The value. None too where onnx clips a cubic's place, and PyTorch and we its taps."""
    if case.mode not in _ONNX or case.padding not in _PADDINGS:
        return None
    if (case.mode, case.padding) == ("bicubic", "border"):
        return None
    from onnx.helper import make_node
    from onnx.reference import ReferenceEvaluator

    node = make_node(
        "GridSample", ["x", "grid"], ["y"], mode=_ONNX[case.mode], padding_mode=case.padding,
        align_corners=int(case.align_corners),
    )  # fmt: skip
    feeds = {"x": _channels_first(sampled.images), "grid": _shaped(sampled.grids)}
    return _channels_last(ReferenceEvaluator(node).run(None, feeds)[0])


def by_torch(case: Case, sampled: Sampled) -> tuple[np.ndarray, ...] | None:
    """Value and both gradients."""
    if case.mode == "lanczos3" or case.padding not in _PADDINGS:
        return None
    import torch

    image = torch.tensor(_channels_first(sampled.images), requires_grad=True)
    grid = torch.tensor(_shaped(sampled.grids), requires_grad=True)
    out = torch.nn.functional.grid_sample(
        image, grid, mode=case.mode, padding_mode=case.padding, align_corners=case.align_corners
    )
    out.backward(torch.tensor(_channels_first(sampled.cotangents)).reshape(out.shape))
    to_image, to_grid = image.grad, grid.grad
    assert to_image is not None and to_grid is not None
    value = _channels_last(out.detach().numpy())
    to_image = np.moveaxis(to_image.numpy(), 1, -1)
    return value, to_image, to_grid.numpy().reshape(sampled.grids.shape)


def _channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def _channels_last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array.reshape(*array.shape[:2], -1), 1, -1)


def _shaped(grids: np.ndarray) -> np.ndarray:
    """[B, n, d] to the peers' [B, ..., n, d] of d + 2 axes."""
    batch, places, d = grids.shape
    return grids.reshape(batch, *(1,) * (d - 1), places, d)
