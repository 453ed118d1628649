"""Writers of a run as it goes: its metrics, TensorBoard events, lines or a bar."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_jax.devices import is_first
from attn_jax.records import Metrics, Row, as_text, writing
from attn_jax.training.settings import Settings

HISTORY = "history.jsonl"


class TensorBoard:
    """TensorBoard events of the same rows, in `tb/`."""

    def __init__(self, folder: Path, step: int):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, row: Row) -> None:
        """Write an event a figure."""
        step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._writer.close()


class Outputs:
    """All that is written of each row: on the first process, nothing elsewhere."""

    def __init__(self, workdir: Path, settings: Settings, step: int, keeps_history: bool = False):
        self._workdir, self._all = workdir, list[Metrics | TensorBoard]()
        self._history: Metrics | None = None
        with writing(workdir):
            if is_first():
                self._all.append(Metrics(workdir / "metrics.jsonl", step))
            if is_first() and keeps_history:
                self._history = Metrics(workdir / HISTORY, step)
            if is_first() and settings.log.tensorboard:
                self._all.append(TensorBoard(workdir / "tb", step))

    def write(self, row: Row, kept: Row | None = None) -> None:
        """Write a row to each, and what is kept of the state to a file of its own."""
        with writing(self._workdir):
            for one in self._all:
                one.write(row)
            if self._history and kept:
                self._history.write(kept)

    def close(self) -> None:
        """Close each."""
        with writing(self._workdir):
            for one in (*self._all, self._history):
                if one is not None:
                    one.close()


class Progress:
    """A bar on a terminal, plain lines otherwise; on the first process only."""

    def __init__(self, settings: Settings, step: int, shown: Sequence[str] = ()):
        """Begin at `step`; `shown` are the figures to print."""
        self._steps, self._every = settings.train.steps, settings.evaluate.every
        self._shown = shown
        self._enabled = settings.log.progress and is_first()
        self._bar: Any = None
        if self._enabled and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._steps, initial=step, unit="step", dynamic_ncols=True)

    def write(self, row: Row, rate: float) -> None:
        """Show a row; plain lines only for rows that carry a validation."""
        step = int(row["step"])
        shown = {_short(name): as_text(name, row[name]) for name in self._shown if name in row}
        if self._bar is not None:
            self._bar.set_postfix(shown)
            self._bar.update(step - self._bar.n)
        elif step % self._every == 0 or step == self._steps:
            figures = "  ".join(f"{name} {value}" for name, value in shown.items())
            self.say(f"step {step}/{self._steps}  {figures}  {rate:,.0f} examples/s")

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(line)
        elif self._enabled:
            print(line, flush=True)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()


def _short(figure: str) -> str:
    return figure.removeprefix("train/").replace("/", " ").replace("_", " ")
