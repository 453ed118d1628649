"""Encoders: the map is a convolution's, and items are its places."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.modules import ConvMap, Items
from tests.filled import filled


def images(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("shape", [(2, 12, 12, 1), (2, 9, 14, 3), (1, 5, 5, 2)])
def test_a_map_is_flaxs_strided_convolutions(shape: tuple[int, ...]):
    class Convolved(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            for i, width in enumerate((4, 6)):
                x = nn.relu(nn.Conv(width, (3, 3), strides=2, name=f"Conv_{i}")(x))
            return x

    x, ours = images(*shape), ConvMap((4, 6))
    variables = filled(ours.init, x)

    expected = Convolved().apply(variables, x)
    got = jax.jit(ours.apply)(variables, x)
    assert got.shape == expected.shape
    assert (expected > 0).any()
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_items_are_the_places_of_the_map_row_by_row():
    x, encode = images(2, 8, 12, 1), ConvMap((3,))
    items = Items(encode)
    variables = filled(items.init, x)
    features = encode.apply({"params": variables["params"]["encode"]}, x)
    got = items.apply(variables, x)
    assert got.shape == (2, 24, 3)
    np.testing.assert_array_equal(got[:, 7], features[:, 1, 1])


def test_bfloat16_is_computed_in():
    encode = ConvMap((3,), jnp.bfloat16)
    variables = filled(encode.init, images(2, 8, 8, 1))
    assert encode.apply(variables, images(2, 8, 8, 1)).dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_with_coordinates_places_alike_are_told_apart():
    x = jnp.ones((1, 20, 20, 1))
    inside = np.s_[0, 1:-1, 1:-1]  # away from the padding

    def features(coordinates: bool) -> jax.Array:
        encode = ConvMap((3, 4), coordinates=coordinates)
        return encode.apply(filled(encode.init, x), x)[inside].reshape(-1, 4)

    assert len(np.unique(features(False), axis=0)) == 1
    assert len(np.unique(features(True), axis=0)) == 9


def test_coordinates_are_two_more_inputs_of_the_last_layer():
    x, encode = images(2, 8, 12, 1), ConvMap((3, 4), coordinates=True)
    variables = filled(encode.init, x)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 9 * 3 + 3 + (9 * 3 + 2) * 4 + 4
    layers = variables["params"]
    h = nn.relu(nn.Conv(3, (3, 3), 2).apply({"params": layers["Conv_0"]}, x))
    h = nn.Conv(4, (3, 3), 2).apply({"params": layers["Conv_1"]}, h)
    y, x_ = np.meshgrid([-0.5, 0.5], [-2 / 3, 0, 2 / 3], indexing="ij")
    seen = np.stack([x_, y], -1) @ layers["Dense_0"]["kernel"]
    np.testing.assert_allclose(encode.apply(variables, x), nn.relu(h + seen[None]), atol=1e-5)


def test_coordinates_begin_with_the_spread_of_their_layer():
    x, encode = images(1, 8, 8, 1), ConvMap((30, 4000), coordinates=True)
    layers = encode.init(jax.random.key(0), x)["params"]
    spreads = [float(layers[name]["kernel"].std()) for name in ("Conv_1", "Dense_0")]
    np.testing.assert_allclose(spreads, 1 / np.sqrt(9 * 30), rtol=0.05)
