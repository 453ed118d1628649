"""Measure how far grid_sample is from onnx, a float64 oracle and PyTorch where it is installed.

python -m experiments.conformance --output=docs/conformance.md
"""

from pathlib import Path

from absl import flags

from experiments import cli

_OUTPUT = flags.DEFINE_string("output", None, "The Markdown file to write.")
_PAIRS = flags.DEFINE_integer("pairs", 50, "Images of each case, each with a grid.", lower_bound=1)


def main() -> None:
    """Print a row a case; write the page."""
    from attn_jax.yardsticks.conformance import run

    def say(line: str) -> None:
        print(line, flush=True)

    with cli.writing(_OUTPUT.value):
        run(Path(_OUTPUT.value), _PAIRS.value, say)


if __name__ == "__main__":
    flags.mark_flag_as_required("output")
    cli.start(main)
