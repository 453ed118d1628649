"""Pairs of digits whose label is their sum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.data import TASKS, compose_split, label_split, make_generator, make_labels

# Digit k is a square of level 20 (k + 1), so that a canvas tells which it is.
IMAGES = np.repeat(20 * np.arange(1, 11, dtype=np.uint8), 64).reshape(10, 8, 8, 1)
LABELS = np.arange(10, dtype=np.int32)


def digits_of(x: np.ndarray) -> np.ndarray:
    """[N, 2], the digits on the two canvases."""
    return np.rint(255 * x.max((1, 2)) / 20).astype(int) - 1


def test_the_label_is_the_sum_of_the_digits_that_are_there():
    ids = jnp.arange(400) % 10
    keys = jax.random.split(jax.random.key(0), 400)
    x = np.asarray(jax.jit(make_generator("summed", size=16))(keys, jnp.asarray(IMAGES), ids))
    labels = make_labels("summed")(keys, jnp.asarray(LABELS), ids)
    found = digits_of(x)
    np.testing.assert_array_equal(found[:, 0], ids)
    np.testing.assert_array_equal(found.sum(1), labels)
    assert set(found[:, 1]) == set(range(10))  # the other is any of them


def test_a_frozen_split_has_its_own_labels():
    key, generate = jax.random.key(3), make_generator("summed", size=16)
    x = compose_split(generate, key, IMAGES, batch=4)
    labels = label_split(make_labels("summed"), key, LABELS)
    np.testing.assert_array_equal(digits_of(x / 255).sum(1), labels)
    assert labels.dtype == LABELS.dtype


def test_other_tasks_keep_the_labels():
    labels = np.array([3, 1, 2], np.int64)
    for task in TASKS.keys() - {"summed", "sequence"}:
        kept = label_split(make_labels(task), jax.random.key(0), labels)
        np.testing.assert_array_equal(kept, labels)
        assert kept.dtype == labels.dtype
        assert TASKS[task].classes(["a", "b"]) == ("a", "b")


def test_sums_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="sums need classes named 0, 1, 2, ...; got cat, dog"):
        TASKS["summed"].classes(["cat", "dog"])


def test_an_angle_is_for_tasks_that_turn():
    with pytest.raises(ValueError, match="angle is for the tasks 'rotated', 'rotated_scaled_tran"):
        make_generator("bent", angle=90.0)
