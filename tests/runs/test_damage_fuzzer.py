"""Files of a run, damaged at random: one line and nothing wrong, or the right answer."""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from attn_jax.checkpoint import _digest
from attn_jax.errors import UserError
from attn_jax.records import read_json
from attn_jax.runs.load import load
from attn_jax.studies.sweep import table
from attn_jax.training.run import Run
from tests.systems.test_dates import dates_of
from tests.tiny import compiled_once, files, kept, result, rows, small_config, square_config, train

JUNK = (
    b"",
    b"[]",
    b"null",
    b"17",
    b"-1e999",
    b'{"a": 1}',
    b"{" * 3000,
    b'{"a":' * 200,
    b"\x00\xff",
)


def bits(content: bytes, pick: random.Random) -> bytes:
    changed = bytearray(content or b"\x00")
    for _ in range(pick.choice((1, 1, 1, 8, 100))):
        changed[pick.randrange(len(changed))] ^= 1 << pick.randrange(8)
    return bytes(changed)


def cut(content: bytes, pick: random.Random) -> bytes:
    return content[: pick.randrange(len(content) + 1)]


def zeros(content: bytes, pick: random.Random) -> bytes:
    start, size = pick.randrange(len(content) + 1), pick.randrange(1, 512)
    return content[:start] + b"\x00" * len(content[start : start + size]) + content[start + size :]


def repeated(content: bytes, pick: random.Random) -> bytes:
    start = pick.randrange(len(content) + 1)
    return content[:start] + content[max(0, start - 40) :]


def junk(_: bytes, pick: random.Random) -> bytes:
    return pick.choice(JUNK)


def value(content: bytes, pick: random.Random) -> bytes:
    """Another value somewhere in what is JSON, or one name less."""
    try:
        whole = json.loads(content)
    except ValueError:
        return bits(content, pick)
    at = whole
    while isinstance(at, dict) and at:
        name = pick.choice([*at])
        if not isinstance(at[name], dict) or pick.random() < 0.2:
            if pick.random() < 0.2:
                del at[name]
            else:
                at[name] = pick.choice((None, [], {}, "", "x", -1, 0, 1.5, 10**30, [[]], True))
            break
        at = at[name]
    return json.dumps(whole).encode()


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [bits, cut, zeros, repeated, junk, value]


def damage(workdir: Path, other: Path, pick: random.Random) -> str:
    """Damage one file of a run, and say how."""
    path = workdir / pick.choice([n for n in files(workdir) if (workdir / n).is_file()])
    told = str(path.relative_to(workdir))
    kind = pick.random()
    if kind < 0.05:
        path.unlink()
        return f"{told} gone"
    if kind < 0.08:
        shutil.rmtree(path.parent) if path.parent != workdir else path.unlink()
        return f"the folder of {told} gone"
    if kind < 0.1:
        path.unlink()
        path.mkdir()
        return f"{told} a folder"
    if kind < 0.16 and (other / told).exists():
        shutil.copyfile(other / told, path)
        return f"{told} of another run"
    if kind < 0.2:
        step = pick.choice(kept(other))
        shutil.rmtree(workdir / "checkpoints" / str(step), ignore_errors=True)
        shutil.copytree(other / "checkpoints" / str(step), workdir / "checkpoints" / str(step))
        return f"the checkpoint {step} of another run"
    change = pick.choice(CHANGES)
    path.write_bytes(change(path.read_bytes(), pick))
    return f"{told}: {change.__name__}"


def figures(workdir: Path) -> dict[str, Any]:
    found, kinds = result(workdir), ("test/", "validation/", "best")
    return {name: value for name, value in found.items() if name.startswith(kinds)}


class Problem:
    """A finished run, one of another seed, and what must not come out otherwise."""

    def __init__(self, config: Callable[..., ConfigDict], folder: Path):
        self.config = config(train__checkpoint_seconds=0.0)
        self.whole, self.other = folder / "whole", folder / "other"
        with pytest.MonkeyPatch.context() as patch:
            states: dict[int, str] = {}
            save = Run.save

            def note(run: Run, step: int, state: Any) -> None:
                states[step] = _digest(state)
                save(run, step, state)

            patch.setattr(Run, "save", note)
            train(self.config, self.whole)
        self.states = states
        train(config(train__checkpoint_seconds=0.0, seed=1), self.other)
        self.table = table(folder, [{"seed": "whole"}])
        self.figures, self.rows = figures(self.whole), rows(self.whole)

    def loads(self, workdir: Path) -> None:
        loaded = load(workdir)
        assert _digest(loaded.state) == self.states[loaded.step]

    def trains(self, workdir: Path) -> None:
        if not (workdir / "result.json").is_dir():
            (workdir / "result.json").unlink(missing_ok=True)
        train(self.config, workdir)
        notes = read_json(workdir / "checkpoints" / "12" / "notes" / "metadata")
        assert notes["state"] == self.states[12]
        if figures(workdir)["best_step"] == self.figures["best_step"]:
            assert figures(workdir) == self.figures

    def tables(self, workdir: Path) -> None:
        made = table(workdir.parent, [{"seed": workdir.name}])
        shown = made.splitlines()[-1].replace(workdir.name, "whole")
        assert shown.count("| - ") or shown == self.table.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the storage library's threads, where a file is damaged
def test_damaged_files_of_a_run_give_one_line_or_the_right_answer(
    data: Path, jax_cache: Path, tmp_path: Path
):
    """ATTN_JAX_DAMAGES files in all, 150 by default; every eighth run is trained on."""
    pick, count = random.Random(0), int(os.environ.get("ATTN_JAX_DAMAGES", "150"))
    configs: dict[str, Callable[..., ConfigDict]] = {
        "ram": lambda **changed: small_config(data, **changed),
        "square": lambda **changed: square_config(data, "item_hard", **changed),
        "dates": lambda **changed: dates_of(data, "hard", **changed),
    }
    wrong, came = list[str](), Counter[str]()
    with compiled_once(jax_cache):
        problems = [Problem(config, tmp_path / name) for name, config in configs.items()]
        for i in range(count):
            problem = pick.choice(problems)
            workdir = shutil.copytree(problem.whole, problem.whole.parent / f"seed={i}")
            told = damage(workdir, problem.other, pick)
            act = problem.trains if i % 8 == 0 else problem.tables if i % 8 == 1 else problem.loads
            try:
                act(workdir)
                came["right"] += 1
            except UserError as error:
                came["refused"] += 1
                if "\n" in str(error):
                    wrong.append(f"{told}: {act.__name__}: {error}")
            except Exception as error:
                wrong.append(f"{told}: {act.__name__}: {type(error).__name__}: {error}"[:600])
            shutil.rmtree(workdir)
    print(dict(came))
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong)
    assert came["right"] and came["refused"]
