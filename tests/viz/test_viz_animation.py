"""The animation of one rollout."""

import io

import numpy as np
import pytest
from PIL import Image

from attn_jax import viz
from attn_jax.viz import animation


def gif(case, **options):
    arguments = {"sizes": (4.0, 8.0), "label": 1, **options}
    return viz.rollout_gif(case.images[0], case.locations[0], case.glimpses[0], **arguments)


def probabilities(steps, classes):
    odds = np.random.default_rng(1).uniform(size=(steps, classes))
    return odds / odds.sum(1, keepdims=True)


def test_each_glimpse_is_a_frame_and_the_last_stays_longer(rollout):
    data = gif(rollout(), probabilities=probabilities(3, 10))
    moving = Image.open(io.BytesIO(data))
    assert (moving.format, moving.n_frames, moving.info["loop"]) == ("GIF", 3, 0)
    durations = []
    for frame in range(3):
        moving.seek(frame)
        durations.append(moving.info["duration"])
    assert durations[:2] == [700, 700]
    assert durations[2] > 2000


def test_white_stays_white_and_black_black(rollout):
    case = rollout(n=1, steps=1)
    case.images[:] = 0
    pixels = np.asarray(Image.open(io.BytesIO(gif(case))).convert("RGB"))
    assert (pixels[0, 0] == 255).all()
    assert (pixels == 0).all(-1).mean() > 0.1


def test_the_same_arguments_give_the_same_small_file(rollout):
    case = rollout(n=1, steps=8, scales=3, g=12, size=60)
    options = {"sizes": viz.patch_sizes(12, 3), "probabilities": probabilities(8, 10)}
    first, second = (gif(case, **options) for _ in range(2))
    assert first == second
    assert len(first) < 400_000


def test_only_what_the_finest_patches_covered_is_seen():
    image = np.ones((6, 8, 1), np.float32)
    shown = animation.seen(image, np.array([[1.5, 0.5], [6.5, 4.5]]), size=2)
    expected = np.zeros((6, 8), bool)
    expected[0:2, 1:3] = expected[4:6, 6:8] = True
    np.testing.assert_array_equal((shown == 1).all(-1), expected)
    np.testing.assert_allclose(shown[~expected], [animation.UNSEEN] * 40, atol=1e-6)


def test_bars_are_optional_and_few_where_there_are_many_classes(rollout):
    case = rollout(n=1, steps=1)
    names = [f"class {i}" for i in range(100)]
    wide = Image.open(io.BytesIO(gif(case, probabilities=probabilities(1, 100), class_names=names)))
    assert wide.width > Image.open(io.BytesIO(gif(case))).width


def test_the_true_class_is_always_among_the_bars():
    odds = np.zeros((2, 50))
    odds[:, 20:40] = 1
    shown = animation._shown(odds, label=7)
    assert shown[0] == 7
    assert shown == sorted(shown)
    assert len(shown) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (4.0,)}, "sizes must be 2 positive pixels"),
        ({"probabilities": np.ones((2, 10))}, r"probabilities must have shape \[T=3, K\].*\[2, 10"),
        ({"probabilities": np.ones((3, 4)), "label": 4}, r"label must be in \[0, 4\); got 4"),
    ],
)
def test_bad_arguments_are_named(rollout, options, message):
    with pytest.raises(ValueError, match=message):
        gif(rollout(), **options)


def test_bad_shapes_are_named(rollout):
    case = rollout()
    case.locations = np.zeros((2, 5, 2))
    with pytest.raises(ValueError, match=r"glimpses must have shape \[T=5.*got \[3, 2, 4, 4, 1\]"):
        gif(case)
