"""What a run writes as it goes: metrics.jsonl, TensorBoard events, lines or a bar."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import jax

Row = dict[str, float]


def write_atomically(path: Path, content: str | bytes) -> None:
    """The whole of `content`, or nothing: written beside, then renamed into place."""
    beside = path.with_name(path.name + ".partial")
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read_metrics(path: Path, upto: float = float("inf")) -> list[Row]:
    """The rows of a metrics.jsonl with step <= upto; a line cut short by a kill is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if row["step"] <= upto:
            rows.append(row)
    return rows


class Metrics:
    """metrics.jsonl: a line per call of the update, numbers only."""

    def __init__(self, path: Path, step: int):
        """Open for appending, cut back to `step`."""
        rows = read_metrics(path, step)
        write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Row) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def __enter__(self) -> "Metrics":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()


class TensorBoard:
    """The same numbers as events in `tb/`."""

    def __init__(self, folder: Path, step: int):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, row: Row) -> None:
        step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)

    def __enter__(self) -> "TensorBoard":
        return self

    def __exit__(self, *_: Any) -> None:
        self._writer.close()


class Progress:
    """A bar on a terminal, plain lines otherwise; on the first process only."""

    def __init__(self, steps: int, step: int, enabled: bool = True):
        self._steps = steps
        self._enabled = enabled and jax.process_index() == 0
        self._bar: Any = None
        if self._enabled and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True)

    def write(self, row: Row, rate: float) -> None:
        """Show a row; plain lines only for rows that carry a validation."""
        shown = {"loss": row["train/loss"], "error %": row["train/error"]}
        validation = row.get("validation/error_mean")
        if validation is not None:
            shown["validation error %"] = validation
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()})
            self._bar.update(int(row["step"]) - self._bar.n)
        elif self._enabled and validation is not None:
            figures = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
            self.say(f"step {int(row['step'])}/{self._steps}  {figures}  {rate:,.0f} examples/s")

    def say(self, line: str) -> None:
        """One line for the reader, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(line)
        elif self._enabled:
            print(line, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
