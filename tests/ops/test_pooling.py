"""Pooling: the largest value of each window, and a gradient that loses nothing."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax.ops import max_pool

CASES = {
    "tiles": (2, None),
    "uneven tiles": ((3, 2), None),
    "overlapping": (3, 2),
    "every window": ((2, 3), 1),
    "with gaps": (2, 3),
    "one number": (1, None),
}


def images(*shape: int, dtype=jnp.float32) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)


def flaxs(x: jax.Array, window, strides) -> jax.Array:
    def pair(value):
        return (value, value) if isinstance(value, int) else value

    return nn.max_pool(x, pair(window), pair(window if strides is None else strides))


@pytest.mark.parametrize(("window", "strides"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("shape", [(2, 7, 8, 3), (2, 2, 6, 6, 1)])
def test_values_and_gradients_are_flaxs(shape: tuple, window, strides):
    x = images(*shape)
    got, pull = jax.vjp(lambda x: max_pool(x, window, strides), x)
    expected, theirs = jax.vjp(lambda x: flaxs(x, window, strides), x)
    np.testing.assert_array_equal(got, expected)
    cotangent = images(*got.shape)
    np.testing.assert_allclose(pull(cotangent)[0], theirs(cotangent)[0], atol=1e-6)


@pytest.mark.parametrize("strides", [None, 1])
def test_derivatives_of_both_modes_and_orders(strides: int | None):
    with jax.enable_x64(True):
        x = images(1, 4, 4, 2, dtype=jnp.float64)
        check_grads(lambda x: max_pool(x, 2, strides) ** 2, (x,), order=2)


@pytest.mark.parametrize("strides", [None, 1])
def test_what_ties_shares_the_gradient(strides: int | None):
    x = jnp.zeros((1, 4, 4, 1)).at[0, 0, 0].set(1.0)
    out, pull = jax.vjp(lambda x: max_pool(x, 2, strides), x)
    cotangent = images(*out.shape)
    (gradient,) = pull(cotangent)
    np.testing.assert_allclose(gradient.sum(), cotangent.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient[0, 0, 0], cotangent[0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(gradient[0, 3, 3], cotangent[0, -1, -1] / 4, rtol=1e-6)


def test_what_is_not_a_number_stays_so():
    assert jnp.isnan(max_pool(jnp.full((4, 4, 1), jnp.nan), 2)).all()


def test_an_empty_batch_and_halves():
    assert max_pool(images(0, 4, 4, 1), 2).shape == (0, 2, 2, 1)
    assert max_pool(images(4, 4, 1, dtype=jnp.bfloat16), 2).dtype == jnp.bfloat16


MISUSE = {
    "one image without channels": (lambda: max_pool(jnp.ones((4, 4)), 2),
        r"x must be \[..., H, W, C\]; got \[4, 4\]"),
    "no window": (lambda: max_pool(jnp.ones((4, 4, 1)), 0),
        "window must be one or two whole numbers from 1; got 0"),
    "strides of three": (lambda: max_pool(jnp.ones((4, 4, 1)), 2, (1, 1, 1)),
        r"strides must be one or two whole numbers from 1; got \(1, 1, 1\)"),
    "a window too large": (lambda: max_pool(jnp.ones((4, 4, 1)), (2, 5)),
        r"window \[2, 5\] must fit into the images \[4, 4\]; it does not"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_named(name: str):
    wrong, message = MISUSE[name]
    with pytest.raises(ValueError, match=rf"\A{message}\Z"):
        wrong()
