"""Every mode, padding, alignment and dimension against onnx, a float64 oracle, SciPy and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx.backend.test.case.node import gridsample
from onnx.helper import make_node
from onnx.reference import ReferenceEvaluator
from scipy.ndimage import map_coordinates

from attn_jax.yardsticks.oracle import oracle
from tests.ops import sampling_cases as cases

ONNX_MODES = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}
# onnx clips a cubic's place, where PyTorch clips its taps.
IN_ONNX = [
    case
    for case in cases.ALL
    if case.mode in ONNX_MODES and case.padding in ("zeros", "border", "reflection")
    if (case.mode, case.padding) != ("bicubic", "border")
]
COUNT = 180
# By default each value of each axis is met, with the product left to the slow tests: most of the
# time goes into compiling, of lanczos3 and of gradients above all.
VALUES = [
    case for case in cases.SOME if case.mode != "lanczos3" or case.padding in ("zeros", "wrap")
]
GRADIENTS = [
    case
    for case in cases.SOME
    if case[:2] == (2, "bilinear")
    or case[1:3] in (("nearest", "wrap"), ("bicubic", "border"), ("bicubic", "constant"))
    or case[:3] in ((3, "bilinear", "zeros"), (3, "bilinear", "reflection"))
]


def by_oracle(case, images, grids, cotangents=None):
    """Values; or the gradients to images and grids."""
    fill = cases.FILL.astype(np.float32) if case.padding == "constant" else 0.0
    definition = {of: getattr(case, of) for of in ("mode", "padding", "align_corners")}
    told = [oracle(i, g, **definition, fill=fill) for i, g in zip(images, grids, strict=True)]
    if cotangents is None:
        return np.stack([one.value for one in told])
    gradients = [one.gradients(c) for one, c in zip(told, cotangents, strict=True)]
    return tuple(np.stack(of) for of in list(zip(*gradients, strict=True))[:2])


def onnx_reference(case, images, grids):
    node = make_node(
        "GridSample", ["x", "grid"], ["y"], mode=ONNX_MODES[case.mode], padding_mode=case.padding,
        align_corners=int(case.align_corners),
    )  # fmt: skip
    batch, places, dims = grids.shape
    shaped = grids.reshape(batch, *(1,) * (dims - 1), places, dims)
    feeds = {"x": np.moveaxis(images, -1, 1), "grid": shaped}
    out = ReferenceEvaluator(node).run(None, feeds)[0]
    return np.moveaxis(out.reshape(batch, -1, places), 1, -1)


def node_cases():
    """The onnx package's own cases, recorded by running what exports them."""
    found = []

    def record(node, inputs, outputs, name):
        attributes = {a.name: a.s.decode() if a.s else a.i for a in node.attribute}
        by_xla = cases.Case(
            inputs[0].ndim - 2,
            {v: k for k, v in ONNX_MODES.items()}[attributes.get("mode", "linear")],
            attributes.get("padding_mode", "zeros"),
            bool(attributes.get("align_corners", 0)),
        )
        for case in (by_xla, by_xla._replace(implementation="native")):
            if case in cases.ALL:
                arrays, marks = (*inputs, *outputs), cases.marks(case)
                found.append(
                    pytest.param(case, *arrays, id=f"{name}-{case.implementation}", marks=marks)
                )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gridsample, "expect", record)
        for export in [name for name in dir(gridsample.GridSample) if name.startswith("export_")]:
            getattr(gridsample.GridSample, export)()
    return found


@pytest.mark.parametrize(("case", "x", "grid", "y"), node_cases())
def test_onnx_node_cases(case, x, grid, y):
    ours = cases.batched(*case[1:])(np.moveaxis(x, 1, -1), grid)
    np.testing.assert_allclose(np.moveaxis(ours, -1, 1), y, atol=6e-5)  # y has four decimals


def test_the_node_cases_cover_the_standards_options():
    met = [case.values[0] for case in node_cases()]
    assert sum(case.implementation == "xla" for case in met) == 18
    for axis, values in enumerate([{2, 3}, set(ONNX_MODES), {"zeros", "border", "reflection"}]):
        assert {case[axis] for case in met} == values


def test_there_are_5000_pairs_in_60_signatures():
    by_xla = [case for case in IN_ONNX if case.implementation == "xla"]
    assert len(by_xla) * COUNT >= 5000
    assert len(IN_ONNX) <= 60


@cases.each(IN_ONNX)
def test_random_pairs_agree_with_onnx(case):
    images, grids = (a.astype(np.float32) for a in cases.pairs(case[0], COUNT))
    ours = cases.batched(*case[1:])(images, grids)
    expected = onnx_reference(case, images, grids)
    if case[1] == "nearest":  # a place may round to either side of a half
        assert (np.abs(ours - expected) > 1e-5).mean() < 1e-3
    else:
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def values_agree(case):
    images, grids = (a.astype(np.float32) for a in cases.pairs(case[0], COUNT, seed=1))
    ours = cases.batched(*case[1:])(images, grids)
    np.testing.assert_allclose(ours, by_oracle(case, images, grids), atol=2e-5)


@cases.each(VALUES)
def test_float32_agrees_with_the_oracle(case):
    values_agree(case)


@pytest.mark.slow
@cases.each(cases.ALL)
def test_all_of_float32_agrees_with_the_oracle(case):
    values_agree(case)


def gradients_agree(case):
    with jax.enable_x64(True):
        images, grids = cases.pairs(case[0], COUNT, seed=2)
        cotangents = np.random.default_rng(3).normal(size=(*grids.shape[:-1], images.shape[-1]))
        _, *ours = cases.pulled(*case[1:])(images, grids, cotangents)
        for of_ours, of_oracle in zip(
            ours, by_oracle(case, images, grids, cotangents), strict=True
        ):
            np.testing.assert_allclose(of_ours, of_oracle, atol=1e-9)


@cases.each(GRADIENTS)
def test_gradients_agree_with_the_oracle(case):
    gradients_agree(case)


@pytest.mark.slow
@cases.each(cases.ALL)
def test_all_gradients_agree_with_the_oracle(case):
    gradients_agree(case)


def narrow_agrees(case, dtype):
    images, grids = cases.pairs(case[0], COUNT, seed=4)
    images = jnp.asarray(images, dtype)
    out = cases.batched(*case[1:])(images, jnp.asarray(grids, jnp.float32))
    assert out.dtype == dtype
    wide = np.asarray(images, np.float64)
    expected = by_oracle(case, wide, grids.astype(np.float32))
    atol = 2 * float(jnp.finfo(dtype).eps)  # one rounding of a value below 4
    np.testing.assert_allclose(np.asarray(out, np.float64), expected, atol=atol)


PAIRWISE = [
    (cases.Case(2, "bilinear", "border", False), jnp.bfloat16),
    (cases.Case(2, "nearest", "reflection", True), jnp.bfloat16),
    (cases.Case(2, "bicubic", "constant", False), jnp.float16),
    (cases.Case(3, "bilinear", "wrap", True), jnp.float16),
    (cases.Case(3, "nearest", "zeros", False), jnp.bfloat16),
    (cases.Case(2, "bilinear", "zeros", True), jnp.float16),
    (cases.Case(2, "bicubic", "wrap", True), jnp.bfloat16),
    (cases.Case(2, "lanczos3", "constant", False), jnp.bfloat16),
    (cases.Case(2, "lanczos3", "border", True), jnp.float16),
    (cases.Case(2, "nearest", "reflection", False), jnp.float16),
]


def test_each_narrow_dtype_meets_each_value_of_each_axis():
    for dtype in (jnp.bfloat16, jnp.float16):
        met = [case[:4] for case, narrow in PAIRWISE if narrow == dtype]
        for axis, values in enumerate(zip(*cases.XLA, strict=True)):
            assert axis == 4 or {case[axis] for case in met} == set(values)


@pytest.mark.parametrize(("case", "dtype"), PAIRWISE)
def test_narrow_images_are_rounded_once(case, dtype):
    narrow_agrees(case, dtype)


@pytest.mark.slow
@cases.each(cases.XLA)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_all_narrow_images_are_rounded_once(case, dtype):
    narrow_agrees(case, dtype)


SCIPY = {
    "zeros": "grid-constant", "constant": "grid-constant", "border": "nearest", "wrap": "grid-wrap",
    False: "reflect", True: "mirror",
}  # fmt: skip


@cases.each([case for case in cases.XLA if case.mode in ("nearest", "bilinear")])
def test_the_oracle_agrees_with_scipy(case):
    dims, mode, padding, align_corners, _ = case
    images, grids = cases.pairs(dims, 10, seed=5)
    extent = np.array(images.shape[1:-1][::-1])
    pixels = (grids + 1) / 2 * (extent - 1) if align_corners else ((grids + 1) * extent - 1) / 2
    how = SCIPY[align_corners if padding == "reflection" else padding]
    for i, told in enumerate(by_oracle(case, images, grids)):
        for channel in range(2):
            fill = np.float32(cases.FILL[channel]) if padding == "constant" else 0.0
            expected = map_coordinates(
                images[i, ..., channel], pixels[i].T[::-1], order=int(mode == "bilinear"),
                mode=how, cval=float(fill),
            )  # fmt: skip
            np.testing.assert_allclose(told[:, channel], expected, atol=1e-12)


def test_the_oracles_gradients_are_its_differences():
    images, grids = cases.pairs(2, 1, seed=6)
    image, grid, step = images[0], grids[0] / 8, 1e-6
    chosen = {"mode": "lanczos3", "padding": "constant"}

    def total(image, grid, fill=0.5):
        return oracle(image, grid, fill=fill, **chosen).value.sum()

    to_image, to_grid, to_fill = oracle(image, grid, fill=0.5, **chosen).gradients(
        np.ones((cases.PLACES, 2))
    )
    for place in np.ndindex(grid.shape):
        moved = step * (
            np.arange(grid.size).reshape(grid.shape) == np.ravel_multi_index(place, grid.shape)
        )
        slope = (total(image, grid + moved) - total(image, grid - moved)) / (2 * step)
        np.testing.assert_allclose(to_grid[place], slope, atol=1e-7)
    zeros = oracle(0 * image, grid, fill=1.0, **chosen).value.sum(0)
    np.testing.assert_allclose(to_fill, zeros, atol=1e-12)
    np.testing.assert_allclose((to_image * image).sum() + 0.5 * zeros.sum(), total(image, grid))


def torch_agrees(case, shape, seed=7):
    torch = pytest.importorskip("torch")
    dims, mode, padding, align_corners, _ = case
    images, grids = cases.pairs(dims, COUNT, seed, shape=shape)
    # Kinks too: pixels and the middles between them, and the corners.
    kinks = np.random.default_rng(seed).integers(-8, 9, size=grids.shape) / 4
    grids[::2] = grids[::2] if mode == "nearest" else kinks[::2]
    batch, places, _ = grids.shape
    cotangents = np.random.default_rng(8).normal(size=(batch, places, shape[-1]))
    image = torch.tensor(np.moveaxis(images, -1, 1), requires_grad=True)
    grid = torch.tensor(grids.reshape(batch, *(1,) * (dims - 1), places, dims), requires_grad=True)
    theirs = torch.nn.functional.grid_sample(
        image, grid, mode=mode, padding_mode=padding, align_corners=align_corners
    )
    theirs.backward(torch.tensor(np.moveaxis(cotangents, -1, 1)).reshape(theirs.shape))
    value = np.moveaxis(theirs.detach().numpy().reshape(batch, -1, places), 1, -1)
    with jax.enable_x64(True):
        ours, to_images, to_grids = cases.pulled(*case[1:])(images, grids, cotangents)
    np.testing.assert_allclose(ours, value, atol=1e-9)
    np.testing.assert_allclose(to_images, np.moveaxis(image.grad.numpy(), 1, -1), atol=1e-9)
    np.testing.assert_allclose(to_grids, grid.grad.numpy().reshape(grids.shape), atol=1e-9)


IN_TORCH = [
    case
    for case in cases.ALL
    if case.mode != "lanczos3" and case.padding not in ("wrap", "constant")
]


@cases.each([case for case in IN_TORCH if case in GRADIENTS])
def test_values_and_gradients_agree_with_torch(case):
    torch_agrees(case, cases.SHAPES[case[0]])


@pytest.mark.slow
@cases.each(IN_TORCH)
def test_all_values_and_gradients_agree_with_torch(case):
    torch_agrees(case, cases.SHAPES[case[0]])


@pytest.mark.slow
@cases.each(IN_TORCH)
@pytest.mark.parametrize("pixels", ["one", "one wide"])
def test_one_pixel_axes_agree_with_torch(case, pixels):
    shape = (1,) * case[0] if pixels == "one" else (*(3,) * (case[0] - 1), 1)
    torch_agrees(case, (*shape, 3))
