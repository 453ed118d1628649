"""Files of a run, read again: whole, damaged, or by someone else."""

import json
import logging
from pathlib import Path

import pytest

from attn_jax.errors import UserError
from attn_jax.records import read_json, read_metrics, read_sealed, write_sealed

NO_OBJECTS = {
    "empty": ("", "Expecting value"),
    "cut": ('{"a": ', "Expecting value"),
    "a list": ("[]", r"expected a JSON object; got \[\]"),
    "nothing": ("null", "expected a JSON object; got null"),
    "a number": ("17", "expected a JSON object; got 17"),
    "a text": ('"' + "a" * 1000 + '"', 'expected a JSON object; got "a{39}'),
    "a number of many digits": ("9" * 5000, "Exceeds the limit"),
    "nested deeply": ('{"a": ' * 100 + "1" + "}" * 100, "it is nested more than 20 levels deep"),
    "nested as deep as it goes": ("[" * 100_000, "it is nested too deeply"),
}


@pytest.mark.parametrize("read", [read_json, read_sealed])
@pytest.mark.parametrize("name", NO_OBJECTS)
def test_what_is_no_json_object_is_one_line(tmp_path: Path, name: str, read):
    content, message = NO_OBJECTS[name]
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=rf"\A\S*/a.json cannot be read: {message}[^\n]*\Z"):
        read(tmp_path / "a.json")


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UserError, match=r"\A\S*a.json cannot be read: 'utf-8' codec[^\n]*\Z"):
        read_json(tmp_path / "a.json")


def test_a_sealed_file_comes_back_as_it_was_written(tmp_path: Path):
    path, values = tmp_path / "a.json", {"a": 0.1, "é": [1, {"b": None}], "nan": float("nan")}
    write_sealed(path, values)
    first = read_sealed(path)
    assert {**first, "nan": 0} == {**values, "nan": 0, "digest": first["digest"]}
    write_sealed(path, {**first, "a": 0.2})  # anew, with a digest of its own
    assert read_sealed(path)["a"] == 0.2


@pytest.mark.parametrize(
    "change",
    [{"a": 0.2}, {"b": 1}, {"digest": None}, {"digest": "0" * 64}],
    ids=["a value", "a name", "no digest", "another digest"],
)
def test_a_sealed_file_that_was_changed_is_refused(tmp_path: Path, change: dict):
    path = tmp_path / "a.json"
    write_sealed(path, {"a": 0.1})
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=r"\A\S*a.json cannot be read: its digest differs\Z"):
        read_sealed(path)


DAMAGED = ["", "nonsense", "[1]", "7", "null", '{"train/loss": 1}', '{"step": "8"}', '{"step": [',
           '{"step": 8, "loss": null}', '{"step": 1' + "0" * 400 + "}", "[" * 9999]  # fmt: skip


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_rows_after_a_damaged_line_are_kept_and_the_line_is_told_once(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 4}}\n{line}\n{{"step": 12, "train/loss": NaN}}\n{{"step": 1')
    with caplog.at_level(logging.WARNING, "attn_jax"):
        assert [row["step"] for row in read_metrics(path)] == [4, 12]
    [warning] = [record.getMessage() for record in caplog.records if record.name == "attn_jax"]
    assert warning == f"line 2 of {path} cannot be read; going on without"


def test_many_damaged_lines_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\xff\n\n{"step": 4}\n\x00\n{"step": 8}')
    with caplog.at_level(logging.WARNING, "attn_jax"):
        assert [row["step"] for row in read_metrics(path, 8)] == [4, 8]
    [warning] = [record.getMessage() for record in caplog.records if record.name == "attn_jax"]
    assert warning == f"3 lines of {path} cannot be read; going on without"
