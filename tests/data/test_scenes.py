"""Scenes of digits: where they lie, what is read in them, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.data import (
    colocalised,
    colocalised_box,
    compose_split,
    label_split,
    make_generator,
    make_labels,
    rotated_scaled_cluttered,
    sequence,
)
from attn_jax.data.distortions import similar_levels

# Digit k is a square of level 20 (k + 1), so that a canvas tells which it is.
IMAGES = np.repeat(20 * np.arange(1, 11, dtype=np.uint8), 64).reshape(10, 8, 8, 1)
LABELS = np.arange(10, dtype=np.int32)
KEYS = jax.random.split(jax.random.key(0), 600)


def read(x: np.ndarray) -> tuple[list[int], list[int], int]:
    """The digits of a canvas without clutter from left to right, their first rows, the column."""
    level = np.rint(255 * x[..., 0]).astype(int)
    column = int(level.any(0).argmax())
    parts = [level[:, column + 8 * n : column + 8 * (n + 1)] for n in range(3)]
    for part in parts:
        assert (part > 0).sum() == 64  # whole, and with no part of another
    assert level.any(0).sum() == 24
    digits = [part.max() // 20 - 1 for part in parts]
    return digits, [int(part.any(1).argmax()) for part in parts], column


def test_a_sequence_is_read_as_it_is_labelled():
    ids = jnp.arange(600) % 10
    generate = jax.jit(make_generator("sequence", size=30, pieces=0, piece=1))
    x = np.asarray(generate(KEYS, jnp.asarray(IMAGES), ids))
    labels = np.asarray(make_labels("sequence")(KEYS, jnp.asarray(LABELS), ids))
    assert labels.shape == (600, 3)
    columns, slopes = set(), set()
    for one, label in zip(x, labels, strict=True):
        digits, rows, column = read(one)
        assert digits == label.tolist()
        columns.add(column)
        slopes.add(rows[1] - rows[0])
        steps = np.diff(rows)
        assert steps[0] * steps[1] >= 0 and np.abs(steps).max() <= 4
    assert columns == set(range(30 - 24 + 1))
    assert slopes == set(range(-4, 5))
    np.testing.assert_array_equal(labels[:, 0], ids)
    for other in (1, 2):
        assert set(labels[:, other]) == set(range(10))


def test_a_frozen_split_of_sequences_has_its_labels():
    key = jax.random.key(3)
    x = compose_split(make_generator("sequence", size=24, pieces=0, piece=1), key, IMAGES, batch=4)
    labels = label_split(make_labels("sequence"), key, LABELS)
    assert [read(one / 255)[0] for one in x] == labels.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_the_box_is_where_the_digit_is(seed: int):
    keys = jax.random.split(jax.random.key(seed), 100)
    digit = jnp.full((6, 4, 1), 255, jnp.uint8)
    bare = partial(colocalised, digit=digit, others=digit[None], size=20, pieces=0, piece=2)
    x = np.asarray(jax.vmap(bare)(keys))
    boxes = np.asarray(jax.vmap(lambda key: colocalised_box(key, (6, 4), size=20))(keys))
    for one, box in zip(x, boxes, strict=True):
        left, upper, right, lower = np.rint((box + 1) * 10).astype(int)
        expected = np.zeros((20, 20, 1))
        expected[upper:lower, left:right] = 1
        np.testing.assert_array_equal(one, expected)


def test_clutter_moves_no_digit():
    digit = jnp.full((6, 4, 1), 255, jnp.uint8)
    others = jnp.asarray(IMAGES[:, :6, :4])
    for compose, options in (
        (colocalised, {}),
        (rotated_scaled_cluttered, {"scale": (0.5, 2.0)}),
        (sequence, {}),
    ):
        make = partial(compose, digit=digit, others=others, size=20, piece=3, **options)
        bare, full = (
            jax.jit(jax.vmap(partial(make, pieces=pieces)))(KEYS[:40]) for pieces in (0, 5)
        )
        assert (full >= bare).all()
        assert (full > bare).any((1, 2, 3)).mean() > 0.9
        assert full.max() <= 1


def test_without_clutter_it_is_a_similarity():
    digit = jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 8, 1)), jnp.uint8)
    key = jax.random.key(4)
    x = jax.jit(partial(rotated_scaled_cluttered, size=24, pieces=0))(key, digit, digit[None])
    draws = jax.random.randint(jax.random.split(key)[0], (4,), 0, 4096)
    np.testing.assert_array_equal(
        np.rint(255 * x), similar_levels(draws, digit, 24, 180.0, (1.0, 2.4))
    )


def test_float_images_give_the_same():
    digit, others = jnp.asarray(IMAGES[3]), jnp.asarray(IMAGES)
    for compose in (colocalised, sequence):
        make = jax.jit(partial(compose, size=24, pieces=3, piece=4))
        np.testing.assert_array_equal(
            make(KEYS[0], digit, others),
            make(KEYS[0], digit.astype(jnp.float32) / 255, others.astype(jnp.float32) / 255),
        )


@pytest.mark.parametrize(
    ("compose", "options", "line"),
    [
        (
            sequence,
            {"size": 20, "piece": 3},
            "size must be at least 3 times the digit's 8 columns; got 20",
        ),
        (sequence, {"size": 5}, "size must be at least the digit's 8 x 8 pixels; got 5"),
        (sequence, {"piece": 9}, "piece must be 1 to 8 pixels; got 9"),
        (colocalised, {"size": 5}, "size must be at least the digit's 8 x 8 pixels; got 5"),
        (colocalised, {"pieces": -1}, "pieces must be at least 0; got -1"),
        (rotated_scaled_cluttered, {"size": 19}, "8 x 8 pixels times 2.4; got 19"),
        (rotated_scaled_cluttered, {"scale": (2, 1)}, r"scale must be \(smallest, largest\)"),
    ],
)
def test_what_does_not_fit_is_refused(compose, options: dict, line: str):
    with pytest.raises(ValueError, match=rf"\A[^\n]*{line}[^\n]*\Z"):
        compose(KEYS[0], jnp.asarray(IMAGES[0]), jnp.asarray(IMAGES), **options)
