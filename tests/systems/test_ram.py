"""RAM's own sections."""

from dataclasses import replace

import pytest

from attn_jax.systems import ram, read_config
from tests.tiny import config_of_file


@pytest.mark.parametrize(
    ("unit", "side", "expected"),
    [(None, 28, 13.0), (None, 96, 47.0), (None, 1, 1.0), (0.0, 28, 0.0), (5.0, 28, 5.0)],
)
def test_the_unit_follows_the_canvas_unless_a_number_is_given(
    unit: float | None, side: int, expected: float
):
    _, settings = read_config(config_of_file("ram_mnist", None).to_dict())
    assert isinstance(settings, ram.RamSections)
    mechanism = replace(settings.mechanism, unit=unit)
    assert mechanism.unit_on((side, side, 1)) == expected
