"""Random overrides of every config: each trains, or is refused in one line."""

import random
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attn_jax import fields, memory
from attn_jax.errors import Stopped
from attn_jax.systems import SYSTEMS
from attn_jax.training.writers import Progress
from tests.systems.test_configs import ALL
from tests.tiny import ROOT, config_of_file

COUNT, SECONDS, GIBIBYTES = 2000, 300, 1
NUMBERS = [
    "-1", "0", "1", "2", "3", "7", "64", "129", "-0.0", "0.5", "1.0", "1e-3", "1e-50", "1e39",
    "nan", "inf", "-inf", "2147483647", "2147483648", "4294967296", "9223372036854775807",
    "9223372036854775808", "1000000", "1000000000", "1" + "0" * 40, "0x10", "1_000", " 5",
]  # fmt: skip
TEXTS = [
    "", "abc", "None", "True", "False", "()", "(1,)", "(8, 8)", "(0,)", "(-1,)", "(100000,)",
    "(1000000,)", "(1.5,)", "('a',)", "[8]", "{}", "1,2", "(" + "1," * 200 + ")", "ünïcödé", "💥",
    "x" * 5000, "a\nb", "/nowhere", "/dev/null", "/proc/self/mem", "..", "~", "$HOME", "learnd",
]  # fmt: skip


def override(random: random.Random, rows: list[tuple]) -> str:
    """One --config flag: mostly of a field that is there, with a value that may not fit."""
    name, value, names = random.choice(rows)
    kind = random.random()
    if kind < 0.1:
        place = random.randrange(len(name))
        name = name[:place] + random.choice(["", "é", ".", name[place] * 2]) + name[place + 1 :]
    if kind < 0.35:
        value = value if random.random() < 0.5 or not names else random.choice(names)
    elif kind < 0.75:
        value = random.choice(NUMBERS)
    else:
        value = random.choice(TEXTS)
    return f"--config.{name}={value}"


def rows_of(name: str, word: str) -> list[tuple]:
    """(name, value, valid names) of each field of a config."""
    config = config_of_file(name, word).to_dict()
    sections = SYSTEMS[config["system"]].sections
    names = {row[0]: row[2].removeprefix("one of ").split(", ") for row in
             fields.describe(sections, config) if row[2].startswith("one of ")}  # fmt: skip
    return [(one, value, names.get(one)) for one, value in fields.flatten(config).items()]


def commands(seed: int, count: int) -> Iterator[list[str]]:
    """Command lines of one to three overrides."""
    drawn = random.Random(seed)
    for _ in range(count):
        name, word = drawn.choice(ALL)
        word = f"{word},tiny" if word else "tiny"
        rows = rows_of(name, word)
        found = [override(drawn, rows) for _ in range(drawn.choice([1, 1, 1, 2, 3]))]
        yield [f"--config={ROOT}/configs/{name}.py:{word}", *found]


def _late(*_: Any) -> None:
    raise TimeoutError(f"took more than {SECONDS} s")


class Traced:
    """A jitted function that is traced, or compiled as well, and not run."""

    def __init__(self, call: Any):
        self.lower, self.trace = call.lower, call.trace

    def __call__(self, *args: Any) -> None:
        self.trace(*args)
        raise Stopped("enough")


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """brief(last): end a run once its update is "traced", "planned" (compiled) or "run"."""
    within = memory.within

    def end(*_: Any) -> None:
        raise Stopped("enough")

    def until(last: str) -> None:
        def shortened(what: str, call: Any) -> Callable:
            if last == "run" or " updates of " not in what:
                return within(what, call)
            return within(what, Traced(call)) if last == "planned" else Traced(call)

        monkeypatch.setattr(memory, "within", shortened)

    monkeypatch.setattr(Progress, "write", end)
    return until


def sized(args: list[str]) -> bool:
    """Whether a command asks for a large size, which may fit and then take hours."""
    return any(arg.rpartition("=")[2].strip("(),").isdigit()
               and int(arg.rpartition("=")[2].strip("(),")) > 100 for arg in args[1:])  # fmt: skip


def peak() -> float:
    """The most memory that this process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def check(run: Callable, brief: Callable, args: list[str], workdir: Path, whole: bool) -> str:
    """Run one command; its outcome, or an AssertionError that shows it."""
    brief("planned" if sized(args) else "run" if whole else "traced")
    before = peak()
    signal.alarm(SECONDS)
    try:
        status, _, err = run(
            "train", [*args, f"--workdir={workdir}", "--config.log.progress=False"]
        )
    except BaseException as error:
        raise AssertionError(f"{args} raised {error!r}") from error
    finally:
        signal.alarm(0)
    assert status in (1, 2, 143), (args, status, err)
    assert err.count("\n") == 1 and "Traceback" not in err, (args, err)
    assert peak() - before < GIBIBYTES, (args, before, peak())
    return {1: "diverged", 2: "refused", 143: "trained"}[status]


@pytest.mark.slow
def test_2000_random_overrides_train_or_are_refused(run: Callable, brief: Callable, tmp_path: Path):
    before = signal.signal(signal.SIGALRM, _late)
    found = Counter()
    for i, args in enumerate(commands(0, COUNT)):
        found[check(run, brief, args, tmp_path / str(i), i % 20 == 0)] += 1
    signal.signal(signal.SIGALRM, before)
    assert sum(found.values()) == COUNT
    assert min(found["refused"], found["trained"]) > COUNT // 10
