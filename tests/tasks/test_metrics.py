"""The Wilson interval is scipy's, and refuses what is no proportion."""

import pytest
from scipy.stats import binomtest

from attn_jax.tasks import wilson


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 3), (37, 5000), (4963, 5000)]
)
def test_wilson_equals_scipys(count: int, total: int):
    expected = binomtest(count, total).proportion_ci(0.95, method="wilson")
    low, high = wilson(count, total)
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low < high <= 1


@pytest.mark.parametrize(("count", "total"), [(0, 0), (1, 0), (-1, 5), (6, 5), (0, -1)])
def test_wilson_refuses_what_is_no_proportion(count: int, total: int):
    with pytest.raises(ValueError, match=rf"0 <= count <= total.*got {count} of {total}"):
        wilson(count, total)
