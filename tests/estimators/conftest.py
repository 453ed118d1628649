"""Many choices of each sampler, made once."""

import jax
import jax.numpy as jnp
import pytest
from estimators_ours import KEY, MASKED, OURS, SAMPLERS, SAMPLES, proposal


@pytest.fixture(scope="module")
def many():
    """Many choices of each sampler, made once."""
    keys = jax.random.split(KEY, SAMPLES)
    inputs = {name: proposal(name) for name in SAMPLERS} | {"masked": jnp.asarray(MASKED)}
    return {
        name: jax.jit(jax.vmap(OURS.get(name, OURS["categorical"]).choose, (0, None)))(keys, given)
        for name, given in inputs.items()
    }
