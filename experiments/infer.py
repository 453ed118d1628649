"""Read your own pictures, or dates.

python -m experiments.infer --workdir=runs/ram_mnist image.png …
python -m experiments.infer --workdir=runs/dates "the 3rd of march, 1998" …
"""

import sys
from pathlib import Path

from absl import flags

from experiments import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "The run's folder.")
_OUTPUT = flags.DEFINE_multi_string(
    "output",
    ["looked.png"],
    "Files to write, by suffix: .png where the model looked, .json the answers.",
)


def main() -> None:
    """Say what each is, and write where the model looked, or the answers as JSON."""
    from attn_jax.errors import UserError
    from attn_jax.records import write_atomically, write_json
    from attn_jax.runs.infer import infer

    # absl has parsed the flags: what is left of the command line is what to read.
    queries = flags.FLAGS([*sys.argv])[1:]
    if not all(queries) or not queries:
        raise UserError("name pictures, or texts: experiments.infer --workdir=… image.png …")
    outputs = [Path(name) for name in dict.fromkeys(_OUTPUT.value)]  # parsed twice: above, at first
    for output in outputs:
        if output.suffix not in (".png", ".json"):
            raise UserError(f"--output must end in .png or .json; got {output}")
    answers, png = infer(_WORKDIR.value, queries)
    print("\n".join(one.line for one in answers))
    records = [one.record for one in answers]
    for output in outputs:
        if output.suffix == ".png" and not png:
            continue
        with cli.writing(str(output)):
            if output.suffix == ".json":
                write_json(output, {"answers": records})
            else:
                write_atomically(output, png)
        print(f"{'where it looked' if output.suffix == '.png' else 'answers'}: {output}")
    if refused := [record["refused"] for record in records if "refused" in record]:
        raise UserError(f"{len(refused)} of {len(records)} not read: {refused[0]}")


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    cli.start(main)
