"""Operations are counted as by hand: products, convolutions, gradients, loops, branches."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from attn_jax.modules import Conv
from attn_jax.operations import flops
from attn_jax.ops import conv

X, KERNEL = jnp.ones((2, 9, 8, 6)), jnp.ones((3, 3, 3, 4))
FORWARD = 2 * (2 * 7 * 6 * 4) * (3 * 3 * 3)  # 2 groups of 3 channels


def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return conv(x, kernel, padding="VALID", groups=2)


def of_lax(x: jax.Array, kernel: jax.Array) -> jax.Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=numbers, feature_group_count=2
    )


@pytest.mark.parametrize("f", [convolved, of_lax])
def test_a_convolution_counts_its_windows(f):
    assert flops(f, X, KERNEL) == FORWARD


@pytest.mark.parametrize("argument", [0, 1])
def test_each_gradient_counts_as_much_as_the_convolution(argument: int):
    gradient = jax.grad(lambda *args: convolved(*args).sum(), argument)
    counted = flops(lambda x, kernel: gradient(x, kernel), X, KERNEL)
    assert counted in (FORWARD, 2 * FORWARD)  # the value, which nothing needs, may be traced too
    assert flops(jax.grad(lambda *a: (convolved(*a) ** 2).sum(), (0, 1)), X, KERNEL) == 3 * FORWARD


def test_loops_count_as_often_as_they_run_and_of_branches_the_largest():
    a = jnp.ones((4, 4))

    def loop(x):
        return lax.scan(lambda c, _: (c @ a, None), x, length=5)[0]

    assert flops(jax.jit(loop), a) == 5 * 2 * 4**3
    branches = [lambda x: x, lambda x: x @ a, lambda x: x @ a @ a]
    assert flops(lambda i, x: lax.switch(i, branches, x), 1, a) == 2 * 2 * 4**3
    batched = jax.vmap(lambda x: x @ a)
    assert flops(batched, jnp.ones((3, 2, 4))) == 3 * 2 * 2 * 4 * 4


def test_a_module_is_counted_by_shapes_alone():
    module = Conv(5, (3, 3), padding="SAME")
    x = jax.ShapeDtypeStruct((1, 8, 8, 2), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    assert flops(module.apply, variables, x) == 2 * 8 * 8 * 5 * 3 * 3 * 2
