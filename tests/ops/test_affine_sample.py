"""The fused form is the two-step form; and which implementation samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import affine_grid, affine_sample, grid_sample
from attn_jax.ops import implementation, native
from tests.ops.sampling_cases import IMPLEMENTATIONS
from tests.xla import QUICK

_jit = functools.partial(jax.jit, compiler_options=QUICK)

IMAGE = jax.random.normal(jax.random.key(0), (7, 9, 3))
THETA = jnp.array([[0.92, -0.4, 0.3], [0.5, 1.1, -0.2]])  # partly outside, not on a kink
VOLUME = jax.random.normal(jax.random.key(1), (4, 5, 6, 2))
THETA_3D = jnp.eye(3, 4) + 0.2 * jax.random.normal(jax.random.key(2), (3, 4))

OPTIONS = [
    {},
    {"mode": "nearest"},
    {"mode": "bicubic", "padding": "border"},
    {"mode": "lanczos3", "padding": "wrap"},
    {"padding": "reflection", "align_corners": True},
    {"padding": "constant", "fill": jnp.array([1.0, -2.0, 0.5])},
]
BY_BOTH = [(options, "xla") for options in OPTIONS] + [
    pytest.param(options, "native", marks=IMPLEMENTATIONS[1].marks)
    for options in OPTIONS
    if "mode" not in options
]


@pytest.mark.parametrize(("options", "implementation"), BY_BOTH, ids=str)
def test_the_fused_form_is_the_two_step_form(options: dict, implementation: str):
    tolerance = 1e-6 if implementation == "xla" else 1e-5  # sums in another order

    def two_steps(image, theta):
        grid = affine_grid(theta, (5, 6), align_corners=options.get("align_corners", False))
        return grid_sample(image, grid, **options, implementation="xla")

    def fused(image, theta):
        return affine_sample(image, theta, (5, 6), **options, implementation=implementation)

    def both(f):
        out, pull = jax.vjp(f, IMAGE, THETA)
        return out, pull(jnp.cos(out))

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        _jit(lambda: both(two_steps))(),
        _jit(lambda: both(fused))(),
    )


def test_volumes_are_transformed_too():
    out = jax.jit(lambda v, t: affine_sample(v, t, (3, 4, 5)))(VOLUME, THETA_3D)
    grid = affine_grid(THETA_3D, (3, 4, 5))
    assert out.shape == (3, 4, 5, 2)
    np.testing.assert_allclose(out, jax.jit(grid_sample)(VOLUME, grid), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_pixels_keep_wide_coordinates(dtype: str):
    out = affine_sample(IMAGE.astype(dtype), THETA, (5, 6))
    assert out.dtype == dtype
    exact = affine_sample(IMAGE.astype(dtype).astype("float32"), THETA, (5, 6))
    np.testing.assert_array_equal(out, exact.astype(dtype))  # rounded once, at the end


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((IMAGE, THETA, (3, 4, 5)), {}, r"theta must have shape \(3, 4\)"),
        ((IMAGE, THETA, (0, 4)), {}, r"size must be \(h, w\) .* of at least 1; got \(0, 4\)"),
        (
            (VOLUME, THETA, (3, 4)),
            {},
            r"size must be \(d, h, w\) for a volume .*jax.vmap.*; got \(3, 4\)",
        ),
        ((VOLUME, THETA_3D, (3, 4, 5)), {"mode": "bicubic"}, "mode must be one of .* for a volume"),
        ((IMAGE, THETA, 3), {}, r"size must be \(h, w\) or \(d, h, w\), whole numbers.*; got 3"),
        ((IMAGE, THETA, (3, 4.0)), {}, r"whole numbers of at least 1; got \(3, 4.0\)"),
        ((IMAGE, THETA, (3, 4)), {"implementation": "cuda"}, "implementation must be one of"),
        ((IMAGE, THETA, (3, 4)), {"fill": 1.0}, "fill belongs to padding='constant' alone"),
        (
            (IMAGE, THETA, (3, 4)),
            {"implementation": "native", "mode": "nearest"},
            r"samples images .* by mode='bilinear'; got float32 \[7, 9, 3\] and mode='nearest'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments: tuple, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        affine_sample(*arguments, **options)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A native library that is there or not, and what was asked of it."""
    state = {"there": False, "asked": []}
    monkeypatch.delenv("ATTN_JAX_IMPLEMENTATION")
    monkeypatch.setattr(native, "preferred", lambda: state["there"])
    monkeypatch.setattr(native, "build", lambda: state["asked"].append("build"))
    return state


def chosen(implemented: str | None = None, mode: str = "bilinear", image=IMAGE) -> bool:
    return implementation.use_native(implemented, mode, "zeros", image)


def test_none_is_native_where_it_has_been_built(library: dict):
    assert not chosen()
    library["there"] = True
    assert chosen()
    assert not chosen(mode="bicubic")
    assert not chosen(image=IMAGE.astype("bfloat16"))
    assert not chosen(image=VOLUME)
    assert not chosen("xla")


def test_native_waits_for_its_library(library: dict):
    assert chosen("native")
    assert library["asked"] == ["build"]


def test_the_environment_stands_for_none(library: dict, monkeypatch: pytest.MonkeyPatch):
    library["there"] = True
    monkeypatch.setenv("ATTN_JAX_IMPLEMENTATION", "xla")
    assert not chosen()
    assert chosen("native")
    monkeypatch.setenv("ATTN_JAX_IMPLEMENTATION", "natve")
    with pytest.raises(ValueError, match="ATTN_JAX_IMPLEMENTATION must be one of .*; got 'natve'"):
        chosen()


def test_other_devices_sample_in_xla(library: dict, monkeypatch: pytest.MonkeyPatch):
    library["there"] = True
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not chosen()
    assert not library["asked"]
