"""How every command ends: 0 well, 2 if the user can put it right, 1 diverged, 143 terminated, 75 a
process of several was lost and the same command goes on."""

import ast
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

from absl import app, flags, logging

from experiments import signals


def start(main: Callable[[], None]) -> None:
    """Parse the flags and call main; one clear line on stderr for whatever the user can mend."""
    signals.watch()
    logging.set_verbosity(logging.WARNING)
    sys.unraisablehook = _of_python
    getLogger("asyncio").disabled = True  # for the same reason
    try:
        app.run(lambda _: _guarded(main), flags_parser=_parse)
    except SystemExit as end:
        signals.leave(end.code)
    except BaseException:
        traceback.print_exc()
        signals.leave(1)


def _of_python(report: Any) -> None:
    # The storage library reports here, on behalf of nothing, what a failed save raises as well.
    if report.object is not None:
        sys.__unraisablehook__(report)


def _parse(argv: Sequence[str]) -> Sequence[str]:
    # A config file runs while flags are parsed, and may raise anything.
    try:
        rest = flags.FLAGS(list(argv))
        for name in flags.FLAGS:  # a config that could not be loaded says so when it is touched
            getattr(flags.FLAGS[name].value, "lock", None)
    except Exception as error:
        _leave(2, describe_flags(error))
    return rest


def describe_flags(error: Exception) -> str:
    """One line for whatever parsing flags, and a config file among them, has raised."""
    if isinstance(error, OSError):
        return f"--config cannot be loaded: {str(error).strip().splitlines()[-1].strip()}"
    if isinstance(error, AttributeError | KeyError):
        return f"the config has no field {_one_line(error)}"
    return _one_line(error)


def _guarded(main: Callable[[], None]) -> None:
    try:
        main()
    except Exception as error:
        from attn_jax import cluster

        ending = _ending(error)
        if ending is None:  # a bug: the traceback is for whoever mends it
            if cluster.joined():  # Python's exit would print it, then wait for the others
                traceback.print_exc()
                cluster.leave(1, together=False)
            raise
        status, line = ending
        together = status in (1, 143) or isinstance(error, cluster.Refused)
        _leave(status, line, together)


def _ending(error: Exception) -> tuple[int, str] | None:
    """The exit status and the line of an error; None of one that nobody expects."""
    from attn_jax import cluster
    from attn_jax.errors import Diverged, Stopped, UserError, first_line

    line = _one_line(error)
    if cluster.is_lost(error):
        return 75, f"another process of this run has ended; {signals.AGAIN} ({first_line(error)})"
    if isinstance(error, ModuleNotFoundError):
        return 2, f"{line}; pip install 'attn_jax[experiments]'"
    statuses = {UserError: 2, Diverged: 1, Stopped: 143}
    for kind, status in statuses.items():
        if isinstance(error, kind):
            return status, line
    missing = _missing_device()
    return (2, missing) if missing else None


def _missing_device() -> str:
    """Say that JAX has no device, whatever was raised because of that; "" if it has one."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        why = " ".join(str(error).split())
        return f"JAX_PLATFORMS={asked}: JAX finds no such device here. {why}".strip()
    return ""


def field_lines(sections: type, config: Mapping[str, Any]) -> Iterator[str]:
    """One line a field of a config: its name, value, range and meaning."""
    from attn_jax.fields import describe

    rows = list(describe(sections, config))
    width, values = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    for name, value, valid, meaning in rows:
        valid = f"  ({valid})" if valid else ""
        yield f"{name:{width}}  {value:{values}}  {meaning}{valid}"


def config_lines(folder: Path = Path("configs")) -> Iterator[str]:
    """One line a config that is shipped: its path, and what it is."""
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(one, ast.FunctionDef) and one.name == "get_config" for one in tree.body):
            first = (ast.get_docstring(tree) or "").partition("\n")[0]
            yield f"  {path}: {first}"


def _one_line(error: BaseException) -> str:
    if "whilst parsing config file" in str(error):  # with a traceback: what the file said is below
        while error.__context__:
            error = error.__context__
    while error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(text).split()) or type(error).__name__


def _leave(status: int, line: str, together: bool = False) -> None:
    print(f"{'error' if status in (1, 2) else 'stopped'}: {line}", file=sys.stderr, flush=True)
    if "jax" in sys.modules:
        from attn_jax import cluster

        cluster.leave(status, together)
    sys.exit(status)


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """One clear line where a file cannot be written."""
    from attn_jax.errors import UserError

    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
