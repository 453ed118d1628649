"""Commands run in this process, each with flags of its own; and what a refusal must look like."""

import contextlib
import runpy
import sys
import warnings
from collections.abc import Callable, Iterator
from logging import getLogger
from pathlib import Path
from typing import NamedTuple

import pytest
from absl import app, flags, logging

from experiments import signals
from tests.tiny import ROOT, as_flags, small_config


@pytest.fixture(scope="session")
def tiny_flags(data: Path) -> list[str]:
    """The command line of the small config."""
    return as_flags(small_config(data))


class Ended(NamedTuple):
    status: int
    out: str
    err: str


@contextlib.contextmanager
def _own_flags(argv: list[str]) -> Iterator[None]:
    app.define_help_flags()
    before, argv_before, verbosity = set(flags.FLAGS), sys.argv, logging.get_verbosity()
    sys.argv = argv
    try:
        yield
    finally:
        sys.argv = argv_before
        logging.set_verbosity(verbosity)
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, list[str]], Ended]:
    """run("train", flags): what `python -m experiments.train flags` does, in this process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # commands set their own
    monkeypatch.setattr(getLogger("asyncio"), "disabled", False)
    monkeypatch.setattr(signals, "watch", lambda: None)  # it would end the tests
    monkeypatch.setattr(signals, "leave", sys.exit)

    def call(command: str, args: list[str]) -> Ended:
        capsys.readouterr()
        with _own_flags([f"experiments/{command}.py", *args]), warnings.catch_warnings():
            # ml_collections loads config files by it; outside of tests nobody sees the warning.
            warnings.filterwarnings("ignore", "the load_module", DeprecationWarning)
            with pytest.raises(SystemExit) as caught:
                runpy.run_module(f"experiments.{command}", run_name="__main__")
            out, err = capsys.readouterr()
        return Ended(caught.value.code or 0, out, err)

    return call
