"""Composed images equal those of a plain numpy paste, to the last bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.data import (
    TASKS,
    centered,
    cluttered,
    compose_split,
    from_uint8,
    make_generator,
    paste,
    translated,
)

H, W, SIZE = 6, 4, 9
OPTIONS = {
    "centered": {"size": SIZE, "shift": 2},
    "translated": {"size": SIZE},
    "cluttered": {"size": SIZE, "pieces": 3, "piece": 2},
    "rotated": {"size": SIZE, "angle": 120.0},
    "rotated_scaled_translated": {"size": SIZE, "angle": 30.0},
    "projected": {"size": SIZE},
    "bent": {"size": SIZE},
    "summed": {"size": SIZE},
    "rotated_scaled_cluttered": {"size": SIZE, "scale": (0.5, 1.5), "pieces": 2, "piece": 2},
    "colocalised": {"size": SIZE, "pieces": 2, "piece": 2},
    "sequence": {"size": 13, "pieces": 1, "piece": 3},
    "extruded": {"size": SIZE, "depth": 2},
}
SHAPES = dict.fromkeys(OPTIONS, (SIZE, SIZE, 2)) | {
    "summed": (SIZE, SIZE, 4),
    "sequence": (13, 13, 2),
    "extruded": (SIZE, SIZE, SIZE, 2),
}


@pytest.fixture(scope="module")
def images() -> jax.Array:
    levels = np.random.default_rng(0).integers(
        1, 256, (12, H, W, 2)
    )  # no zeros, so that the digit is told from the canvas
    return jnp.asarray(levels, jnp.uint8)


@functools.cache
def jitted(task: str):
    return jax.jit(make_generator(task, **OPTIONS[task]))


def keys(n: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), n)


def pasted(patch: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    canvas = np.zeros((size, size, patch.shape[2]), patch.dtype)
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            if 0 <= row + i < size and 0 <= column + j < size:
                canvas[row + i, column + j] = patch[i, j]
    return canvas


def corner(canvas: np.ndarray) -> tuple[int, int]:
    """The first row and the first column that are not black."""
    lit = np.asarray(canvas).any(-1)
    return int(lit.any(1).argmax()), int(lit.any(0).argmax())


def test_from_uint8_keeps_every_level():
    levels = np.arange(256, dtype=np.uint8)
    unit = np.asarray(jax.jit(from_uint8)(levels))
    assert unit.dtype == np.float32
    assert unit.min() == 0
    assert unit.max() == 1
    np.testing.assert_array_equal(np.rint(255 * unit), levels)
    np.testing.assert_array_equal(unit, np.asarray(from_uint8(levels)))


@pytest.mark.parametrize("offset", [(0, 0), (3, 5), (-2, 7), (8, -3), (-H, 2), (SIZE, SIZE)])
def test_paste_copies_bits_and_cuts_off_what_lies_outside(offset: tuple[int, int]):
    patch = np.random.default_rng(1).standard_normal((H, W, 2)).astype(np.float32)
    canvas = paste(jnp.asarray(patch), jnp.array(offset), SIZE)
    np.testing.assert_array_equal(canvas, pasted(patch, *offset, SIZE))


def test_the_gradient_of_paste_reaches_the_patch():
    def middle(patch: jax.Array) -> jax.Array:
        return paste(patch, jnp.array([2, 2]), 5)[3, 3, 0]

    gradient = jax.grad(middle)(jnp.zeros((3, 3, 1)))[..., 0]
    assert gradient[1, 1] == 1
    assert gradient.sum() == 1


def test_centered_without_shift_does_not_depend_on_the_key(images: jax.Array):
    canvas = centered(keys(1)[0], images[0], size=SIZE)
    expected = pasted(np.asarray(from_uint8(images[0])), 1, 2, SIZE)
    np.testing.assert_array_equal(canvas, expected)
    np.testing.assert_array_equal(canvas, centered(keys(1, seed=9)[0], images[0], size=SIZE))


def test_centered_takes_the_longer_side_by_default(images: jax.Array):
    assert centered(keys(1)[0], images[0]).shape == (H, H, 2)
    square = images[0, :W]
    np.testing.assert_array_equal(centered(keys(1)[0], square), from_uint8(square))


def test_centered_reaches_every_shift_and_cuts_at_the_border(images: jax.Array):
    shift = 4  # the digit leaves the canvas
    canvases = jax.jit(jax.vmap(lambda key: centered(key, images[0], size=SIZE, shift=shift)))(
        keys(2000)
    )
    digit = np.asarray(from_uint8(images[0]))
    moves = range(-shift, shift + 1)
    possible = {pasted(digit, 1 + i, 2 + j, SIZE).tobytes() for i in moves for j in moves}
    assert {np.asarray(canvas).tobytes() for canvas in canvases} == possible


def test_translated_reaches_every_place_inside_the_canvas_uniformly(images: jax.Array):
    canvases = np.asarray(
        jax.jit(jax.vmap(lambda key: translated(key, images[3], size=SIZE)))(keys(1000))
    )
    digit = np.asarray(from_uint8(images[3]))
    corners = [corner(canvas) for canvas in canvases]
    assert set(corners) == {(i, j) for i in range(SIZE - H + 1) for j in range(SIZE - W + 1)}
    for canvas, place in zip(canvases, corners, strict=True):
        np.testing.assert_array_equal(canvas, pasted(digit, *place, SIZE))
    # uniform: 24 places of 1/24 each; a standard deviation is 6.3
    counts = [corners.count(place) for place in set(corners)]
    assert max(abs(count - 1000 / 24) for count in counts) < 30


def replay(key: jax.Array, digit: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute `cluttered` in numpy with the same draws: sum integers, then clip."""
    a_piece = [len(others), H - 1, W - 1, SIZE - 1, SIZE - 1]
    below = jnp.array([SIZE - H + 1, SIZE - W + 1] + 3 * a_piece)
    draws = np.asarray(jax.random.randint(key, (17,), 0, below))
    total = pasted(digit.astype(np.int64), *draws[:2], SIZE)
    for n, i, j, *spot in draws[2:].reshape(3, 5):
        total += pasted(others[n, i : i + 2, j : j + 2].astype(np.int64), *spot, SIZE)
    return np.minimum(total, 255)


def test_cluttered_is_the_clipped_sum_of_numpy(images: jax.Array):
    compose = jax.jit(functools.partial(cluttered, **OPTIONS["cluttered"]))
    for key in keys(8):
        canvas = np.asarray(compose(key, images[0], images))
        assert canvas.max() <= 1
        expected = replay(key, np.asarray(images[0]), np.asarray(images))
        np.testing.assert_array_equal(canvas, from_uint8(expected.astype(np.uint8)))


def test_clutter_hides_nothing_of_the_digit(images: jax.Array):
    compose = jax.jit(functools.partial(cluttered, **OPTIONS["cluttered"]))
    for key in keys(8):
        canvas = compose(key, images[0], images)
        bare = compose(key, images[0], jnp.zeros_like(images))
        assert (canvas >= bare).all()
        assert (canvas > bare).any()


def test_bright_clutter_is_clipped_at_one():
    white = jnp.full((2, 8, 8, 1), 255, jnp.uint8)
    canvas = cluttered(keys(1)[0], white[0], white, size=10, pieces=5, piece=6)
    assert set(np.unique(canvas)) == {0.0, 1.0}


def test_cluttered_without_pieces_is_a_translated_digit(images: jax.Array):
    canvas = cluttered(keys(1)[0], images[0], images, size=SIZE, pieces=0, piece=2)
    assert (np.asarray(canvas) > 0).sum() == images[0].size


def test_pieces_come_from_all_images_and_all_their_places():
    # Each pixel of each image has a level of its own, so a piece of one pixel names its origin.
    others = jnp.arange(1, 25, dtype=jnp.uint8).reshape(2, 3, 4, 1)
    black = jnp.zeros((3, 4, 1), jnp.uint8)
    one = functools.partial(cluttered, digit=black, others=others, size=5, pieces=1, piece=1)
    canvases = jax.jit(jax.vmap(one))(keys(900))
    levels = np.rint(255 * np.asarray(canvases)).astype(int)
    assert set(levels.max((1, 2, 3))) == set(range(1, 25))
    assert (levels > 0).any(0).all()


@pytest.mark.parametrize("task", TASKS)
def test_float_images_give_the_same_as_uint8_images(task: str, images: jax.Array):
    compose = jax.jit(functools.partial(TASKS[task].compose, **OPTIONS[task]))
    unit = from_uint8(images)
    for key in keys(3):
        expected = compose(key, images[0], images)
        np.testing.assert_allclose(compose(key, unit[0], unit), expected, 1e-6)


# They compile for long; what they add to another task is tested there.
_LONG = {"extruded", "sequence", "rotated_scaled_cluttered", "colocalised"}
MOST = [pytest.param(task, marks=[pytest.mark.slow] if task in _LONG else []) for task in TASKS]


@pytest.mark.parametrize("task", MOST)
def test_an_example_does_not_depend_on_its_batch(task: str, images: jax.Array):
    generate = jitted(task)
    ids = jnp.array([3, 0, 7, 3, 11])
    batch = np.asarray(generate(keys(5), images, ids))
    assert batch.shape == (5, *SHAPES[task])
    assert batch.dtype == np.float32
    assert 0 <= batch.min() <= batch.max() <= 1
    backwards = generate(keys(5)[::-1], images, ids[::-1])
    np.testing.assert_array_equal(backwards[::-1], batch)
    alone = generate(keys(5)[2:3], images, ids[2:3])
    np.testing.assert_array_equal(alone[0], batch[2])


@pytest.mark.parametrize("task", MOST)
def test_jit_changes_no_bit_and_another_key_changes_the_images(task: str, images: jax.Array):
    generate = make_generator(task, **OPTIONS[task])
    ids = jnp.arange(6)
    plain = np.asarray(generate(keys(6), images, ids))
    np.testing.assert_array_equal(jitted(task)(keys(6), images, ids), plain)
    np.testing.assert_array_equal(jitted(task)(keys(6), images, ids), plain)
    assert (jitted(task)(keys(6, seed=1), images, ids) != plain).any()


def test_the_default_canvas_sizes_are_the_papers(images: jax.Array):
    digits = jnp.zeros((3, 28, 28, 1), jnp.uint8)
    shapes = {
        task: jax.eval_shape(make_generator(task), keys(2), digits, jnp.array([0, 2])).shape[1:]
        for task in TASKS
    }
    assert shapes == {
        "centered": (28, 28, 1),
        "translated": (60, 60, 1),
        "cluttered": (60, 60, 1),
        "rotated": (28, 28, 1),
        "rotated_scaled_translated": (42, 42, 1),
        "projected": (28, 28, 1),
        "bent": (28, 28, 1),
        "summed": (42, 42, 2),
        "rotated_scaled_cluttered": (96, 96, 1),
        "colocalised": (84, 84, 1),
        "sequence": (100, 100, 1),
        "extruded": (60, 60, 60, 1),
    }


@pytest.mark.parametrize("task", MOST)
def test_a_composed_split_is_reproducible_and_exact(task: str, images: jax.Array):
    generate, key = jitted(task), jax.random.key(4)
    made = compose_split(generate, key, np.asarray(images), batch=5)
    assert made.shape == (12, *SHAPES[task])
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, compose_split(generate, key, images, batch=6))
    folded = jnp.stack([jax.random.fold_in(key, i) for i in range(12)])
    halves = [generate(folded[i : i + 6], images, jnp.arange(i, i + 6)) for i in (0, 6)]
    live = np.concatenate(halves)
    np.testing.assert_array_equal(made, np.rint(255 * live))
    np.testing.assert_array_equal(from_uint8(made), live)
    assert (made != compose_split(generate, jax.random.key(5), images, batch=6)).any()


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("centered", {"size": 5}, "size must be at least the digit's 6 x 4 pixels; got 5"),
        ("translated", {"size": 5}, "size must be at least the digit's 6 x 4 pixels; got 5"),
        ("cluttered", {"size": 5, "piece": 2}, "size must be at least the digit's 6 x 4"),
        ("centered", {"size": 9, "shift": -1}, "shift must be 0 to 4 on a 9 canvas; got -1"),
        ("centered", {"size": 9, "shift": 5}, "shift must be 0 to 4 on a 9 canvas; got 5"),
        ("cluttered", {"size": 9, "piece": 5}, "piece must be 1 to 4 pixels; got 5"),
        ("cluttered", {"size": 9, "piece": 0}, "piece must be 1 to 4 pixels; got 0"),
        ("cluttered", {"size": 9, "piece": 2, "pieces": -1}, "pieces must be at least 0; got -1"),
    ],
)
def test_options_out_of_range_are_refused_while_tracing(
    task: str, options: dict, message: str, images: jax.Array
):
    generate = jax.jit(make_generator(task, **options))
    with pytest.raises(ValueError, match=message):
        generate(keys(2), images, jnp.arange(2))


def test_names_and_dtypes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"one of centered, .*got 'clutered'; did you mean 'clut"):
        make_generator("clutered")
    with pytest.raises(ValueError, match="shift is for the task 'centered', not 'translated'"):
        make_generator("translated", shift=2)
    with pytest.raises(ValueError, match="sigma is for the tasks 'projected', 'bent', not 'rotat"):
        make_generator("rotated", sigma=1.0)
    with pytest.raises(ValueError, match=r"scale is for the tasks .* not 'centered'; got \(1, 2\)"):
        make_generator("centered", scale=(1, 2))
    with pytest.raises(ValueError, match="depth is for the task 'extruded', not 'bent'; got 3"):
        make_generator("bent", depth=3)
    with pytest.raises(ValueError, match="others must be uint8, as the digit is; got float32"):
        cluttered(keys(1)[0], jnp.zeros((6, 4, 1), jnp.uint8), jnp.zeros((2, 6, 4, 1)), piece=2)
    with pytest.raises((ValueError, TypeError), match="digit"):  # a TypeError of jaxtyping
        translated(keys(1)[0], jnp.zeros((6, 4)))
