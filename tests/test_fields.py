"""Every number of every config has a range, by which its sign and its size are checked."""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from attn_jax import fields
from attn_jax.systems import SYSTEMS
from tests.tiny import config_of_file

CONFIGS = {"ram": "ram_mnist", "square": "taxonomy", "dates": "seq2seq_dates"}
CONFIGS |= {"spatial_transformer": "stn_mnist", "colocalisation": "stn_colocalise"}


def numbers(cls: type, path: str = "") -> Iterator[tuple[str, type, fields.Rule]]:
    """(full name, type of a number, rule) of each numeric field of a section."""
    hints = typing.get_type_hints(cls)
    for one in dataclasses.fields(cls):
        kind = hints[one.name]
        if dataclasses.is_dataclass(kind):
            yield from numbers(kind, f"{path}{one.name}.")
        elif found := {int, float, tuple} & {typing.get_origin(kind) or kind, *kinds(kind)}:
            yield path + one.name, found.pop(), one.metadata["rule"]


def kinds(kind: Any) -> set:
    return {typing.get_origin(one) or one for one in typing.get_args(kind)} - {Ellipsis}


NUMBERS = [(system, *one) for system in SYSTEMS for one in numbers(SYSTEMS[system].sections)]
ANY_SYSTEM = list({row[1]: row for row in NUMBERS}.values())


def test_every_system_has_numbers():
    assert set(CONFIGS) == set(SYSTEMS) == {row[0] for row in NUMBERS}
    assert len(ANY_SYSTEM) > 40


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_every_number_has_a_lower_bound(row: tuple):
    rule = row[3]
    assert rule.least is not None or rule.above is not None
    assert rule.range


def refusal(system: str, name: str, value: Any) -> str:
    """The message with which a config refuses this value of a field."""
    config = config_of_file(CONFIGS[system], None).to_dict()
    *sections, last = name.split(".")
    place = config
    for section in sections:
        place = place[section]
    place[last] = value
    with pytest.raises(ValueError) as caught:
        fields.read(SYSTEMS[system].sections, config)
    return str(caught.value)


@pytest.mark.parametrize("row", ANY_SYSTEM, ids=lambda row: row[1])
def test_sign_and_size_are_refused_by_the_fields_name(row: tuple):
    system, name, kind, rule = row
    below = min(-1.0, (rule.least or 0.0) - 1)  # a level may be negative
    wrong = [-1, 2**31, 2**63, 10**40] if kind is not float else [below, 1e39, float("nan")]
    for value in wrong:
        message = refusal(system, name, (value,) if kind is tuple else value)
        assert message.startswith(f"{name} must"), message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", -1, "seed must be at least 0; got -1"),
        ("seed", 2**63, "seed must be at most 2147483647; got 9223372036854775808"),
        ("model.core_widths", "abc", "model.core_widths must be a tuple of whole numbers; got"),
        ("model.core_widths", (2**31,), "model.core_widths must be at most 2147483647; got"),
        ("model.core_widths", (1,) * 65, "model.core_widths may hold 64 numbers; got 65"),
        ("compute.unroll", 129, "compute.unroll must be from 1 to 128; got 129"),
        ("optimizer.momentum", 1.0, r"optimizer.momentum must be in [0, 1); got 1"),
        ("optimizer.learning_rate", 1e-60, "optimizer.learning_rate must be positive in float32"),
        ("optimizer.average", 1 - 1e-12, "optimizer.average must be in [0, 1) in float32; got"),
        ("optimizer.clip", 1e39, "optimizer.clip must be finite; got 1e+39"),
    ],
)
def test_the_line_says_what_was_expected_and_what_came(name: str, value: Any, message: str):
    assert refusal("ram", name, value).startswith(message)
