"""The convolutional layer: Flax's parameters, and its values."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.modules import Conv
from tests.filled import filled

FIELDS = {
    "plain": {"kernel_size": (3, 3)},
    "strided": {"kernel_size": (3, 3), "strides": 2},
    "uneven": {"kernel_size": (3, 2), "strides": (1, 3), "padding": "VALID"},
    "padded": {"kernel_size": (3, 3), "padding": ((2, 0), (1, 1))},
    "grouped": {"kernel_size": (3, 3), "feature_group_count": 2, "use_bias": False},
    "wide": {"kernel_size": (5, 5), "dtype": jnp.bfloat16},
}


def images(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_a_layer_has_flaxs_first_parameters_and_values(fields: dict):
    x, key = images(2, 7, 8, 4), jax.random.key(0)
    ours, theirs = Conv(6, **fields), nn.Conv(6, **fields)
    variables = ours.init(key, x)
    jax.tree.map(np.testing.assert_array_equal, variables, theirs.init(key, x))
    variables = filled(theirs.init, x)
    got, expected = ours.apply(variables, x), theirs.apply(variables, x)
    assert isinstance(got, jax.Array) and isinstance(expected, jax.Array)
    assert got.dtype == expected.dtype
    loose = 2e-2 if got.dtype == jnp.bfloat16 else 1e-5
    np.testing.assert_allclose(
        np.asarray(got, np.float32), np.asarray(expected, np.float32), rtol=loose, atol=10 * loose
    )


def test_leading_axes_are_of_a_batch_or_none():
    x, layer = images(2, 3, 6, 6, 2), Conv(3, 3)
    variables = filled(layer.init, x)
    whole = jnp.asarray(layer.apply(variables, x))
    assert whole.shape == (2, 3, 6, 6, 3)
    one = jnp.asarray(layer.apply(variables, x[1, 2]))
    np.testing.assert_allclose(whole[1, 2], one, atol=1e-5)


def test_parameters_are_float32_whatever_is_computed_in():
    variables = Conv(3, 3, dtype=jnp.bfloat16).init(jax.random.key(0), images(1, 4, 4, 1))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_a_kernel_of_three_sides_is_refused():
    message = r"\Akernel_size must be one or two whole numbers from 1; got \(3, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        Conv(3, (3, 3, 3)).init(jax.random.key(0), images(1, 4, 4, 1))
