"""A loss that is no number stops the run, with the step, the term and the way back named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from attn_jax.checkpoint import Checkpoints
from attn_jax.errors import Diverged
from attn_jax.training.guards import check_finite
from tests.tiny import files, kept, rows, train

FINE = np.array([0.5, 0.4, 0.3])
NAN, INF = (np.array([0.5, bad, bad]) for bad in (np.nan, np.inf))
LATER = np.array([0.5, 0.4, np.nan])


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"loss": NAN, "policy": NAN, "value": FINE}, "policy is nan at step 42; there is no"),
        ({"loss": INF, "policy": FINE}, "loss is inf at step 42"),
        ({"loss": NAN, "policy": NAN, "value": NAN}, "policy, value is nan at step 42"),
        ({"loss": NAN, "policy": LATER, "value": NAN}, "value is nan at step 42"),
        ({"policy": LATER}, "policy is nan at step 43"),
    ],
)
def test_the_first_terms_that_went_wrong_are_named(
    checkpoints: Checkpoints, terms: dict, message: str
):
    with pytest.raises(Diverged, match=rf"\A{message}.*\Z"):
        check_finite(terms, 40, checkpoints)


def test_finite_terms_pass(checkpoints: Checkpoints):
    check_finite({"loss": FINE, "policy": -FINE}, 40, checkpoints)


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(
    config_of: Callable[..., ConfigDict], tmp_path: Path
):
    # The ramp is harmless in the first call, then not.
    config = config_of(
        optimizer__name="sgd",
        optimizer__clip=0.0,
        optimizer__warmup=11,
        optimizer__learning_rate=1e30,
        train__steps_per_call=1,
        evaluate__every=1,
    )
    message = r"(\w+, )*\w+ is (nan|-?inf) at step [23]; last good checkpoint is step [12] in"
    with pytest.raises(Diverged, match=message) as caught:
        train(config, tmp_path)
    last = kept(tmp_path)[-1]
    assert f"at step {last + 1};" in str(caught.value)
    assert rows(tmp_path)[-1]["step"] == last  # the bad row is not written
    assert not (tmp_path / "result.json").exists()
    before = files(tmp_path)
    with pytest.raises(Diverged, match=message):  # and again, from there
        train(config, tmp_path)
    assert files(tmp_path) == before
