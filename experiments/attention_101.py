"""Draw the pictures of docs/attention_101.md: python -m experiments.attention_101 --output=DIR"""

from pathlib import Path

from absl import flags

from experiments import cli

_OUTPUT = flags.DEFINE_string("output", "docs/attention_101", "The folder the pictures go to.")


def main() -> None:
    """Write each picture, and say where."""
    from attn_jax.studies.attention_101 import draw

    with cli.writing(_OUTPUT.value):
        for path in draw(Path(_OUTPUT.value)):
            print(path)


if __name__ == "__main__":
    cli.start(main)
