"""Measure a run's checkpoint again, on its own data or on other data.

python -m experiments.evaluate --workdir=runs/ram_mnist [--source=tfds --path=…]
"""

from pathlib import Path

from absl import flags

from experiments import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_STEP = flags.DEFINE_integer("step", None, "The checkpoint's step; by default the best.")
_SOURCE = flags.DEFINE_string(
    "source", None, "embedded, npz, tfds, folder or records; the run's by default."
)
_PATH = flags.DEFINE_string("path", None, "The path of the source.")
_SPLIT = flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "What to measure on.")
_OUTPUT = flags.DEFINE_string("output", None, "A JSON file to write the figures to.")


def main() -> None:
    """Print the figures with their intervals."""
    from attn_jax.records import write_json
    from attn_jax.runs.evaluate import evaluate

    measured, results = evaluate(
        _WORKDIR.value,
        step=_STEP.value,
        source=_SOURCE.value,
        path=_PATH.value,
        split=_SPLIT.value,
    )
    print(f"step {results['step']} on {results['data']} ({measured.count:,} examples)")
    print("\n".join(measured.lines))
    if _OUTPUT.value:
        with cli.writing(_OUTPUT.value):
            write_json(Path(_OUTPUT.value), results)


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
