"""Time a training step: python -m experiments.benchmark --config=configs/ram_benchmark.py

Compile time and step time, beside the rate of a 2048^3 float32 matrix product on the same machine.

python -m experiments.benchmark --what=kernels [--output=kernels.json]

The samplers' times beside PyTorch's, where it is installed, and jax.scipy's. --what=sweep goes over
image sides, batches and channels too. Prints a table; with --output it writes JSON, and beside it
the table and, of a sweep, a picture.

python -m experiments.benchmark --what=conv [--output=conv.json]

Convolutions and their gradients, outside and inside a loop, beside lax.conv and PyTorch's two
layouts, where it is installed. lax.conv takes minutes inside the loop on a CPU.

python -m experiments.benchmark --what=networks [--output=networks.json]

Training steps of spatial transformer networks and of plain ones, beside the same in PyTorch.
"""

import time

_STARTED = time.time()

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from experiments import cli  # noqa: E402

_DEFAULT = "configs/ram_benchmark.py"
_CONFIG = config_flags.DEFINE_config_file("config", None, f"What to time; {_DEFAULT} by default.")
_CALLS = flags.DEFINE_integer("calls", 20, "Timed calls of the update.", lower_bound=3)
_OUTPUT = flags.DEFINE_string("output", None, "A JSON file to write the figures to.")
_WHAT = flags.DEFINE_enum(
    "what", "step", ["step", "kernels", "sweep", "conv", "networks"], "What to time."
)


def main() -> None:
    """Print a table; write JSON if asked."""
    if _WHAT.value == "step":
        _step()
    else:
        _table()


def _table() -> None:
    from attn_jax.records import write_atomically, write_json
    from attn_jax.yardsticks.convolutions import benchmark_convolutions
    from attn_jax.yardsticks.kernels_table import benchmark_kernels
    from attn_jax.yardsticks.networks import benchmark_networks

    if _WHAT.value == "conv":
        table, plain, png = benchmark_convolutions()
    elif _WHAT.value == "networks":
        table, plain, png = benchmark_networks()
    else:
        table, plain, png = benchmark_kernels(sweep=_WHAT.value == "sweep")
    print(table, end="")
    if _OUTPUT.value:
        output = Path(_OUTPUT.value)
        with cli.writing(_OUTPUT.value):
            write_json(output, plain)
            write_atomically(output.with_suffix(".md"), table)
            if png:
                write_atomically(output.with_suffix(".png"), png)


def _step() -> None:
    from attn_jax.records import write_json
    from attn_jax.studies.step_time import benchmark, lines

    figures = benchmark(_CONFIG.value.to_dict(), _CALLS.value, _STARTED)
    print("\n".join(lines(figures)))
    if _OUTPUT.value:
        with cli.writing(_OUTPUT.value):
            write_json(Path(_OUTPUT.value), figures)


if __name__ == "__main__":
    # Not the flag's own default: that is loaded, and overridden, before an error can be caught.
    if not any(arg.lstrip("-").split("=")[0] == "config" for arg in sys.argv):
        sys.argv.insert(1, f"--config={_DEFAULT}")
    cli.start(main)
