"""The networks' benchmark: the same losses from all, checked before they are timed."""

import numpy as np
import pytest

from attn_jax.errors import UserError
from attn_jax.yardsticks import kernels, networks
from attn_jax.yardsticks.networks import Net, Timing, make_inputs, measure, ours, peers, table

SMALL = Net(10, None, (3,), (3,))
MOVED = Net(28, 10, (3,), (3,))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_SECONDS", 0.0)


def test_everyone_here_learns_alike():
    rows = measure([SMALL, MOVED], peers(), 4)
    assert [row.net for row in rows] == [SMALL, MOVED]
    assert all(list(row.milliseconds) == list(peers()) for row in rows)
    assert all(time > 0 for row in rows for time in row.milliseconds.values())
    assert 0 < rows[0].gigaflops < rows[1].gigaflops


def test_a_call_begins_anew_and_learns():
    call = ours(make_inputs(SMALL, 4), SMALL)
    (losses,), (again,) = call(), call()
    np.testing.assert_array_equal(losses, again)
    assert losses[-1] < losses[0]


def test_who_learns_otherwise_is_not_timed():
    def off(inputs, net):
        return lambda: [1.1 * one for one in ours(inputs, net)()]

    with pytest.raises(UserError, match="training of CNN on 10x10: 3x3 -> 3: off differs by"):
        measure([SMALL], {"ours": ours, "off": off}, 4)


def test_a_transformer_is_compared_with_the_network_on_what_it_reads():
    rows = [
        Timing(SMALL, {"ours": 2.0, "torch": 4.0, "torch, channels last": 5.0}, 0.5),
        Timing(MOVED, {"ours": 3.0, "torch": 2.0, "torch, channels last": 1.0}, 0.6),
    ]
    shown = table(rows, 4, 500.0).splitlines()[-2:]
    assert shown[0].endswith("| 2.00 | 4.00 | 5.00 | 0.50 |  | 0.50 | 0.50 |")
    assert shown[1].endswith("| 3.00 | 2.00 | 1.00 | 3.00 | +50 % | 0.60 | 0.40 |")


def test_without_a_peer_there_is_no_ratio():
    shown = table([Timing(SMALL, {"ours": 2.0}, 0.5)], 4, 500.0).splitlines()[-1]
    assert shown == "| CNN on 10x10: 3x3 -> 3 | 2.00 |  |  | 0.50 | 0.50 |"


def test_the_benchmark_gives_a_table_and_plain_data(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(networks, "REPORTED", (SMALL,))
    monkeypatch.setattr(networks, "matmul_rate", lambda: 100.0)
    told, plain, picture = networks.benchmark_networks(4)
    assert "of 4 images" in told and "100 GFLOP/s" in told
    assert plain["reported"][0]["net"] == str(SMALL)
    assert plain["reported"][0]["ours"] > 0
    assert (plain["batch"], plain["matmul_gflops"], picture) == (4, 100.0, None)
