"""Some updates over all devices, the state replicated or split; as a command, it prints both."""

import json
import sys
from pathlib import Path
from typing import Any

import jax

from attn_jax import devices
from attn_jax.training.update import fresh_state, make_update, many
from tests.tiny import prepared, small_config

STEPS, BATCH = 20, 64


def updates(data: Path, split: bool = False) -> dict[str, Any]:
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
    settings, experiment = prepared(config)
    learner = experiment.learner
    state = devices.init_sharded(lambda: fresh_state(settings, learner), split)
    resident, fed = devices.replicate(experiment.resident), experiment.feed(0, STEPS)
    program = jax.jit(many(make_update(settings, learner)))
    fed = devices.shard_batches(fed)
    compiled = program.lower(state, resident, fed).compile()
    state, figures = compiled(state, resident, fed)
    text = compiled.as_text()
    return {
        "figures": {name: values.tolist() for name, values in figures.items()},
        "parts": [n for n in (BATCH, BATCH // 4) if f"f32[{n},10,10,1]" in text],
        "devices": jax.device_count(),
        "state": max(leaf.addressable_shards[0].data.size for leaf in jax.tree.leaves(state)),
    }


if __name__ == "__main__":
    print(json.dumps([updates(Path(sys.argv[1]), split) for split in (False, True)]))
