"""Spatial transformers over training, as an animation."""

import io

import numpy as np
import pytest
from PIL import Image

from attn_jax import viz
from attn_jax.viz import transformed_views
from tests.source_checks import refuses
from tests.viz.sampling_grids import IDENTITY, ONE, box, grid


def moving(steps=3, **options):
    scales = np.linspace(2.0, 0.5, steps)
    grids = np.stack([[[s * grid(IDENTITY)]] for s in scales])
    rng = np.random.default_rng(0)
    images, views = rng.uniform(size=(1, 8, 8, 1)), rng.uniform(size=(steps, 1, 1, 4, 4, 1))
    return viz.transforms_gif(images, grids, views, [100 * k for k in range(steps)], **options)


@pytest.mark.parametrize("steps", [1, 3])
def test_each_step_is_a_frame_of_one_size_and_the_last_stays_longer(steps):
    film = Image.open(io.BytesIO(moving(steps, milliseconds=120)))
    assert (film.format, film.n_frames) == ("GIF", steps)
    sizes, durations = set(), []
    for k in range(steps):
        film.seek(k)
        sizes.add(film.convert("RGB").size)
        durations.append(film.info["duration"])
    assert len(sizes) == 1
    assert durations == [120] * (steps - 1) + [2500]


def test_the_same_steps_give_the_same_small_file():
    first, second = (moving(8, titles=["a"]) for _ in range(2))
    assert first == second
    assert len(first) < 150_000


def test_the_step_is_written_and_the_scale_is_that_of_all_frames(monkeypatch):
    figures = []
    write = transformed_views.frame
    monkeypatch.setattr(
        transformed_views, "frame", lambda f, dpi: (figures.append(f), write(f, dpi))[1]
    )
    moving(2)
    assert [f.texts[0].get_text() for f in figures] == ["step 0", "step 100"]
    assert [f.axes[0].get_xlim() for f in figures] == [(3.5 - 4 * 1.59, 3.5 + 4 * 1.59)] * 2


def test_volumes_move_too():
    grids = np.tile(box(np.eye(3, 4)), (2, 1, 1, 1, 1, 1, 1))
    data = viz.transforms_gif(np.ones((1, 5, 8, 8, 1)), grids, grids[..., :1], [1, 2])
    assert Image.open(io.BytesIO(data)).n_frames == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": [1]}, r"grids must have shape \[S=1, N=2, P, h, w, 2\].*\[2, 2, 1, 4, 4, 2\]"),
        ({"steps": []}, r"steps must have shape \[S\], none of them 0; got \[0\]"),
        ({"views": ONE.views}, r"views must have shape \[S=2, N=2.*got \[2, 1, 4, 4, 1\]"),
        ({"milliseconds": 10}, "milliseconds must be at least 20; got 10"),
    ],
)
def test_bad_films_are_named(changed, message):
    twice = {name: np.stack([getattr(ONE, name)] * 2) for name in ("grids", "views")}
    given = vars(ONE) | twice | {"steps": [1, 2]}
    with refuses(message):
        viz.transforms_gif(**given | changed)
