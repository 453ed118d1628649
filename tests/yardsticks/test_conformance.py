"""The conformance page on a few cases; an error planted in the sampler shows in it."""

from pathlib import Path

import pytest

from attn_jax.errors import UserError
from attn_jax.ops.native import library
from attn_jax.yardsticks import conformance
from attn_jax.yardsticks.peers import Case

CASES = [
    Case(2, "bilinear", "border", True, "float64"),
    Case(3, "nearest", "constant", False, "bfloat16"),
    Case(2, "bilinear", "wrap", False, "float32", "native"),
]

pytestmark = pytest.mark.skipif(library._compiler() is None, reason="no C++ compiler")


def table(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    monkeypatch.setattr(conformance, "cases", lambda: CASES)
    conformance.run(path, 3, lambda _: None)
    lines = path.read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith(("| 2-D", "| 3-D"))]


def test_the_page_has_a_row_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    linear, native, nearest = table(tmp_path / "page.md", monkeypatch)
    assert linear[:4] == ["2-D", "bilinear", "border", "yes"]
    assert float(linear[4]) < 1e-5  # onnx, in float32
    assert all(float(error) < 1e-12 for error in linear[5:8])
    assert all(error == "-" or float(error) < 1e-12 for error in linear[8:])
    assert nearest[:5] == ["3-D", "nearest", "constant", "no", "-"]
    assert nearest[5] == "0"
    assert nearest[8:] == ["-"] * 3
    assert native[:5] == ["2-D", "bilinear (native)", "wrap", "no", "-"]
    assert all(0 < float(error) < 1e-5 for error in native[5:8])


def test_the_cases_are_the_product_and_what_native_code_has_of_it():
    cases = conformance.cases()
    native = [case for case in cases if case.implementation == "native"]
    assert len(cases) - len(native) == 240
    assert {case[:2] for case in native} == {(2, "bilinear")}
    assert len(native) == len(conformance.PADDINGS) * 2 * 2  # both alignments, two dtypes


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library, "_compiler", lambda: None)
    monkeypatch.setattr(library, "path", lambda: tmp_path / "none.so")
    monkeypatch.setattr(library, "_load", library._load.__wrapped__)  # what is loaded already
    with pytest.raises(UserError, match="needs a C.*compiler"):
        conformance.run(tmp_path / "page.md", 1, lambda _: None)


def test_a_wrong_sampler_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    right = conformance.grid_sample
    monkeypatch.setattr(conformance, "grid_sample", lambda *a, **k: 1.01 * right(*a, **k))
    linear, native, _ = table(tmp_path / "page.md", monkeypatch)
    assert all(float(error) > 1e-3 for error in linear[4:8] + native[5:8])
