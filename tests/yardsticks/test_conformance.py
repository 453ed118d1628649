"""The conformance page on three cases; an error planted in the sampler shows in it."""

from pathlib import Path

import pytest

from attn_jax.yardsticks import conformance
from attn_jax.yardsticks.peers import Case

CASES = [
    Case(2, "bilinear", "border", True, "float64"),
    Case(3, "nearest", "constant", False, "bfloat16"),
]


def table(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    monkeypatch.setattr(conformance, "cases", lambda: CASES)
    conformance.run(path, 3, lambda _: None)
    lines = path.read_text().splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith(("| 2-D", "| 3-D"))]


def test_the_page_has_a_row_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    linear, nearest = table(tmp_path / "page.md", monkeypatch)
    assert linear[:4] == ["2-D", "bilinear", "border", "yes"]
    assert float(linear[4]) < 1e-5  # onnx, in float32
    assert all(float(error) < 1e-12 for error in linear[5:8])
    assert all(error == "-" or float(error) < 1e-12 for error in linear[8:])
    assert nearest[:5] == ["3-D", "nearest", "constant", "no", "-"]
    assert nearest[5] == "0"
    assert nearest[8:] == ["-"] * 3


def test_a_wrong_sampler_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    right = conformance.grid_sample
    monkeypatch.setattr(conformance, "grid_sample", lambda *a, **k: 1.01 * right(*a, **k))
    linear, _ = table(tmp_path / "page.md", monkeypatch)
    assert all(float(error) > 1e-3 for error in linear[4:8])
