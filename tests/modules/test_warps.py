"""`Affine` is `Warp` of full_affine: the same parameters under the same paths, the same bits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.modules import Affine, Memory, Warp
from attn_jax.ops import transforms
from tests.xla import QUICK

_jit = functools.partial(jax.jit, compiler_options=QUICK)


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize("hidden", [(), (4, 3)])
def test_affine_is_a_warp_of_the_state(hidden, dtype):
    s = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
    memory, key = Memory(jnp.ones((3, 8, 8, 1))), jax.random.key(1)
    start = [0.5, 0, 0, 0, 0.5, 0]
    affine = Affine(hidden, 0.5, dtype=dtype)
    warp = Warp(transforms.full_affine(), hidden=hidden, start=start, dtype=dtype)
    assert affine.prepare(memory.x) is None and warp.prepare(memory.x) is None

    @_jit
    def both():
        one, other = (module.init(key, memory, s) for module in (affine, warp))
        noisy = jax.tree.map(lambda p: p + 0.1, one)
        return one, other, affine.apply(noisy, memory, s), warp.apply(noisy, memory, s)

    one, other, expected, out = both()
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    np.testing.assert_array_equal(out, expected)
    assert out.dtype == jnp.float32


def test_a_module_with_a_start_and_a_bound_can_be_hashed_and_cloned():
    """Lifted transforms need it; arrays are kept as tuples."""
    warp = Warp(transforms.isotropic(), start=np.array([0.5, 0, 0]), bound=jnp.ones(3))
    assert warp.start == (0.5, 0.0, 0.0) and warp.bound == (1.0, 1.0, 1.0)
    assert hash(warp) == hash(warp.clone())
    assert warp.clone(bound=2).bound == 2
