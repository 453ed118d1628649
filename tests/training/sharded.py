"""Some updates over however many devices there are; as a command, it prints what they gave."""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from attn_jax.data import batch_ids
from attn_jax.training.prepare import prepare
from attn_jax.training.state import data_mesh, over_batch, replicated
from attn_jax.training.update import many
from tests.tiny import small_config

STEPS, BATCH = 20, 64


def updates(data: Path) -> dict[str, Any]:
    """The figures of each update, and whether each device held only its part of the batch."""
    # At this rate no rounding flips a reward, so that every figure is a continuous one.
    config = small_config(
        data,
        train__batch=BATCH,
        train__steps=STEPS,
        optimizer__name="sgd",
        optimizer__momentum=0.0,
        optimizer__learning_rate=1e-3,
    )
    experiment, mesh = prepare(config), data_mesh()
    state = jax.device_put(experiment.init(), replicated(mesh))
    examples = jax.device_put(experiment.examples, replicated(mesh))
    ids = jnp.asarray(batch_ids(0, len(examples.labels), BATCH, 0, STEPS))
    ids = jax.device_put(ids, over_batch(mesh, 1))
    program = jax.jit(many(experiment.update))
    compiled = program.lower(state, examples, ids).compile()
    state, figures = compiled(state, examples, ids)
    text = compiled.as_text()
    return {
        "figures": {name: values.tolist() for name, values in figures.items()},
        "parts": [n for n in (BATCH, BATCH // 4) if f"f32[{n},10,10,1]" in text],
        "devices": jax.device_count(),
    }


if __name__ == "__main__":
    print(json.dumps(updates(Path(sys.argv[1]))))
